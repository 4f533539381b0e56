"""Knows all that happens in a world, made or injected, as it is tagged now; and its rows."""

from pendo_emulator.events import (
    GUIDES_SEEN,
    LATEST,
    POLLS_SEEN,
    SESSION,
    SHARES,
    Activity,
    Event,
    Shard,
    origin,
)
from pendo_emulator.injected import Injected, InjectedEvents, merged, single
from pendo_emulator.recordings import recordings
from pendo_emulator.rows import Describer, Row, group, measures
from pendo_emulator.seen import guides_seen, polls_seen
from pendo_emulator.selection import Selection
from pendo_emulator.singles import single_row
from pendo_emulator.tagging import Retag, Tagging


class Happenings:
    """The events of a world and the rows that they give; all times are ms.

    `since` is the moment at which the made events begin; injected ones may be older.
    """

    def __init__(self, activity: Activity, since: int) -> None:
        self.activity = activity
        self.describer = Describer(activity)
        self.since = since
        self._tagging = Tagging(activity)
        self._injected = {source: InjectedEvents() for source in SHARES}

    def inject(self, source: str, event: Injected) -> None:
        """Add an event to a source of SHARES."""
        self._injected[source].add(event)

    def retag(self, source: str, retag: Retag) -> None:
        """Let events of a source of TAGGED count for another entity from now on."""
        self._tagging.add(source, retag)

    def earliest(self, source: str) -> int:
        """Return the moment before which nothing has happened."""
        earliest = self._injected[origin(source)].earliest()
        return self.since if earliest is None else min(self.since, earliest)

    # Events

    def made(self, source: str, first: int, last: int, shard: Shard, now: int) -> list[Event]:
        """Return the made events of [first, last) and a range of visitors, as they count now."""
        events = self.activity.between(source, max(first, self.since), last, shard, now)
        return self._tagging.events(source, events)

    def injected(self, source: str, first: int, last: int, now: int) -> list[Injected]:
        """Return the injected events of [first, last), as they count now."""
        return self._tagging.injected(source, self._injected[source].between(first, last, now))

    def wanted(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Event]:
        """Return the made events that are selected."""
        return select.events(self.made(select.origin, first, last, shard, now))

    def wanted_injected(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Injected]:
        """Return the injected events that are selected."""
        shard_of = self.activity.shard_of
        return [
            one
            for one in self.injected(select.origin, first, last, now)
            if select.row(one.fields)
            and shard_of(select.origin, one.fields["visitorId"]) == shard.number
        ]

    # Rows

    def grouped(
        self, select: Selection, unit: str, bucket: tuple[int, int], shard: Shard, now: int
    ) -> list[Row]:
        """Return the grouped rows of one bucket and one range of visitors."""
        source = select.source
        start, end = bucket
        groups = group(self.wanted(select, start, end, shard, now), start)
        described = [(self.describer.grouped(source, key), found) for key, found in groups.items()]
        late = self.wanted_injected(select, start, end, shard, now)
        if late:
            described = merged(described, late, start)
        frustration = source != "trackEvents"
        return [
            {**row, unit: start, **measures(found, frustration=frustration)}
            for row, found in described
        ]

    def single(self, select: Selection, first: int, last: int, shard: Shard, now: int) -> list[Row]:
        """Return one row for each event of [first, last) and one range of visitors."""
        if select.source == "recordingMetadata":
            return self._recordings(select, first, last, shard, now)
        seen = select.source in (*GUIDES_SEEN, *POLLS_SEEN)
        source = select.origin if seen else select.source  # the events by which it was seen
        events = self.wanted(select, first, last, shard, now)
        late = self.wanted_injected(select, first, last, shard, now)
        rows = [single_row(self.describer, source, event) for event in events]
        return rows + [single(source, one) for one in late]

    def seen(
        self, select: Selection, span: tuple[int, int], shard: Shard, now: int, answer: str
    ) -> list[Row]:
        """Return what a range of visitors saw of guides, or answered to polls, within a span.

        `answer` is what the rows of polls call the answer.
        """
        rows = self.single(select, *span, shard, now)
        return guides_seen(rows) if select.source in GUIDES_SEEN else polls_seen(rows, answer)

    def _recordings(
        self, select: Selection, first: int, last: int, shard: Shard, now: int
    ) -> list[Row]:
        """Return the recordings of made events; an injected event belongs to no session."""
        rows: list[Row] = []
        for start in range(first - first % SESSION, last, SESSION):
            end = start + SESSION
            # even what has not arrived: a recording is shown when it is whole
            events = self.wanted(select, start, end, shard, end + LATEST)
            rows += recordings(self.describer, events, now)
        return [row for row in rows if first <= row["startTime"] < last]
