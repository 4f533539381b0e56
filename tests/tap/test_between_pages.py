"""What changes between two pages, and ids that a filter cannot name: all comes, and comes once."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import typing as t
from collections import Counter
from datetime import datetime, timedelta

import pytest
from tap_pendo.api.client import PendoClient
from tap_pendo.calendar import UTC, from_text, to_ms, to_text

from tests.conftest import NOW, Output

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_pendo.metrics import Traffic

    from tests.conftest import TapRunner

Record = dict[str, t.Any]
Body = dict[str, t.Any]
HOUR = NOW.replace(minute=0, second=0) - timedelta(hours=5)
LATER = timedelta(hours=1)
KEYS = {"visitors": "visitor_id", "accounts": "account_id", "feature_events": "row_id"}
SOURCES = {"visitors": "visitors", "accounts": "accounts", "feature_events": "featureEvents"}


class Requests(list[Body]):
    """The aggregations that were asked for, those that count included."""

    def __init__(self) -> None:
        self.after: dict[int, Callable[[], None]] = {}
        """What happens after the n-th answer."""
        self.counts_off = 0
        """So many counts, from the next one on, are one too high."""

    def limits(self, source: str) -> list[int | None]:
        """The limits of the requests for rows."""
        steps = [body["request"]["pipeline"] for body in self if body["request"]["name"] == source]
        return [one[-1].get("limit") for one in steps if "count" not in one[-1]]

    def counts(self, source: str) -> int:
        """How many of them count."""
        steps = [body["request"]["pipeline"] for body in self if body["request"]["name"] == source]
        return sum("count" in one[-1] for one in steps)


@pytest.fixture
def asked(tap: TapRunner, monkeypatch: pytest.MonkeyPatch) -> Requests:
    """Note what is asked for; let things happen in between."""
    noted = Requests()
    rows, count = PendoClient.rows, PendoClient.count

    def rows_then(
        self: PendoClient, body: Body, traffic: Traffic | None = None, **how: t.Any
    ) -> Iterator[list[Record]]:
        if self._base_url == tap.pendo.url:
            noted.append(body)
            happens = noted.after.pop(len(noted), lambda: None)
            try:
                yield from rows(self, body, traffic, **how)
            finally:
                happens()

    def counted(self: PendoClient, body: Body, *args: t.Any) -> int:
        noted.append(body)
        happens = noted.after.pop(len(noted), lambda: None)
        found = count(self, body, *args) + (noted.counts_off > 0)
        noted.counts_off -= 1
        happens()
        return found

    monkeypatch.setattr(PendoClient, "rows", rows_then)
    monkeypatch.setattr(PendoClient, "count", counted)
    return noted


@pytest.fixture
def people(tap: TapRunner, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Record]]:
    """Let Pendo have these people only; gives the list that it looks into."""

    def have(kind: str, *ids: str) -> list[Record]:
        known = [person(kind, one) for one in ids]
        world = type(tap.pendo.world)
        monkeypatch.setattr(world, kind, lambda *_, **__: iter(list(known)))
        return known

    return have


def person(kind: str, one: str, updated: datetime = HOUR) -> Record:
    auto = {"lastupdated": to_ms(updated), "accountids": ["acc"]}
    return {f"{kind[:-1]}Id": one, "metadata": {"auto": auto}}


def event(visitor: str, moment: datetime = HOUR, feature: str = "f") -> Record:
    return {
        "source": "featureEvents",
        "ts": to_ms(moment) + 1,
        "visitorId": visitor,
        "featureId": feature,
    }


def read_hour(tap: TapRunner, hours: int = 1, **settings: t.Any) -> Output:
    """Read the feature events of some hours in pages of 4 rows."""
    settings = {"page_size": 4, "concurrency": 1, **settings}
    output = tap.run(
        select=("feature_events",),
        start_date=HOUR.isoformat(),
        end_date=(HOUR + hours * LATER).isoformat(),
        **settings,
    )
    assert tap.exit_code == 0
    return output


def current(output: Output) -> list[str]:
    """Visitors of the rows of complete reads; each comes once with one `read_at`."""
    records = output.records("feature_events")
    assert max(Counter((r["row_id"], r["read_at"]) for r in records).values()) == 1
    complete = {w["read_at"]: w["row_count"] for w in output.records("sync_windows")}
    found = [r for r in records if r["read_at"] in complete]
    assert len(found) == sum(complete.values())
    return sorted(r["visitor_id"] for r in found)


@pytest.fixture
def quiet(tap: TapRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Pendo have no events but those that a test makes, of twelve visitors in an hour."""
    monkeypatch.setattr("tap_pendo.reading.window_reader._BATCH", 2)
    tap.pendo.world.activity._draws_per_hour = dict.fromkeys(  # noqa: SLF001 - there is no switch
        tap.pendo.world.activity._draws_per_hour,  # noqa: SLF001
        0.0,
    )
    tap.pendo.world.inject(event(one) for one in NAMES)


NAMES = [f"v{n:02}" for n in range(12)]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("visitor", ["a passed place", "v99"])
def test_an_event_that_arrives_between_two_pages_is_no_wrong_order(
    visitor: str, tap: TapRunner, asked: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    for answer in range(1, 6):
        asked.clear()
        late = event(f"{visitor} {answer}")
        asked.after[answer] = lambda late=late: tap.pendo.world.inject([late])  # type: ignore[misc]
        output = read_hour(tap)
        assert [one for one in current(output) if one in NAMES] == NAMES
        assert len(output.records("feature_events")) in (11 + answer, 12 + answer)
        # the first page twice, with a count between them
        assert set(asked.limits("featureEvents")) == {4}
        assert asked.counts("featureEvents") == 1
    assert "in the order" not in caplog.text
    assert "read again" not in caplog.text


@pytest.mark.usefixtures("quiet")
def test_a_window_that_is_expected_to_fill_a_page_is_counted_before_it(tap: TapRunner) -> None:
    tap.pendo.world.inject(event(one, HOUR + n * LATER) for n in (1, 2) for one in NAMES)
    output = read_hour(tap, hours=3, backfill_order="oldest_first")
    assert current(output) == sorted(3 * NAMES)
    calls = [w["calls"] for w in output.records("sync_windows")]
    # windows of 3, 1, 1, and 1 hour: a first one finds out that pages are full
    assert calls[0] > 8
    assert calls[1:] == [len(NAMES) // 3 + 1] * len(calls[1:])


@pytest.mark.usefixtures("quiet")
def test_a_window_whose_rows_fall_short_once_is_read_again_in_pages(
    tap: TapRunner, asked: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.world.inject(event(one, HOUR + LATER) for one in NAMES)
    asked.counts_off = 1
    output = read_hour(tap, hours=2, backfill_order="oldest_first")
    assert current(output) == sorted(2 * NAMES)
    assert "rows came of the" in caplog.text
    assert len({r["read_at"] for r in output.records("feature_events")}) == 2
    # neither this window nor those after it are read in one answer
    assert None not in asked.limits("featureEvents")


@pytest.mark.usefixtures("quiet")
def test_a_window_whose_rows_fall_short_again_is_read_in_one_answer(
    tap: TapRunner, asked: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    asked.counts_off = 2
    output = read_hour(tap)
    assert current(output) == NAMES
    assert caplog.text.count("read again, in pages") == 1
    assert caplog.text.count("read again, in one answer") == 1
    limits = asked.limits("featureEvents")
    assert limits[-1] is None
    assert None not in limits[:-1]
    assert len({r["read_at"] for r in output.records("feature_events")}) == 3


@pytest.mark.usefixtures("quiet")
def test_rows_that_fall_short_app_by_app_once_are_read_again(
    tap: TapRunner, asked: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    tap.pendo.world.add_definition("app", {"id": 1, "name": "one"})
    # three times for all apps, and once more after the count
    fault = {"kind": "status", "status": 413, "source": "featureEvents"}
    tap.pendo.faults.add({**fault, "times": 3})
    asked.counts_off = 1
    output = read_hour(tap, page_size=50_000)
    assert current(output) == NAMES
    assert "app by app" in caplog.text


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("breaks", [1, 3])
def test_an_event_that_arrives_while_an_answer_breaks_off_is_missing_nowhere(
    breaks: int,
    tap: TapRunner,
    asked: Requests,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tap_pendo.json_stream._BLOCK", 64)
    # three times, and it is read app by app
    tap.pendo.faults.add({"kind": "cut", "rows": 6, "times": breaks, "source": "featureEvents"})
    asked.after[1] = lambda: tap.pendo.world.inject([event("a passed place")])
    output = read_hour(tap, page_size=50_000)
    assert [one for one in current(output) if one in NAMES] == NAMES
    assert "in the order" not in caplog.text
    assert "read again" not in caplog.text


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("paged", [True, False])
def test_an_hour_that_pendo_cannot_give_is_not_asked_for_again_and_again(
    paged: bool, tap: TapRunner, asked: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    if not paged:
        tap.pendo.knobs.max_sort_fields = 2
    fault = {"kind": "status", "status": 413, "source": "featureEvents", "times": None}
    tap.pendo.faults.add({**fault, "after": 0 if paged else 1})
    tap.run(
        select=("feature_events",),
        start_date=HOUR.isoformat(),
        end_date=(HOUR + LATER).isoformat(),
        app_ids=[-323232],
    )
    assert tap.exit_code == 1
    one_answer = [limit for limit in asked.limits("featureEvents") if limit is None]
    assert len(one_answer) == (0 if paged else 8)
    assert f"feature_events from {to_text(HOUR)} to {to_text(HOUR + LATER)}" in caplog.text


@pytest.mark.some(2)
@pytest.mark.parametrize("kind", ["visitors", "accounts"])
@pytest.mark.parametrize("newcomer", ["a passed place", "v99"])
def test_a_person_who_arrives_between_two_pages_is_no_wrong_order(
    kind: str,
    newcomer: str,
    tap: TapRunner,
    asked: Requests,
    people: Callable[..., list[Record]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for answer in range(1, 6):
        known = people(kind, *NAMES)
        asked.clear()
        asked.after[answer] = lambda known=known: known.append(person(kind, newcomer, NOW))  # type: ignore[misc]
        output = tap.run(select=(kind,), page_size=4)
        assert tap.exit_code == 0
        ids = [r[KEYS[kind]] for r in output.records(kind)]
        assert [one for one in ids if one in NAMES] == NAMES
        assert len(ids) in (12, 13)
        assert set(asked.limits(kind)) == {4}
        assert asked.counts(kind) == 1
        # who was passed over comes with the next run
        after = tap.run(select=(kind,), state=output.state)
        assert {*ids, *(r[KEYS[kind]] for r in after.records(kind))} == {*NAMES, newcomer}
    assert "in the order" not in caplog.text
    assert "read again" not in caplog.text


@pytest.mark.parametrize("kind", ["visitors", "accounts"])
@pytest.mark.parametrize("short", [1, 2])
def test_people_who_fall_short_come_again_with_a_later_read_at(
    short: int,
    kind: str,
    tap: TapRunner,
    asked: Requests,
    people: Callable[..., list[Record]],
) -> None:
    people(kind, *NAMES)
    asked.counts_off = short
    children = ("visitor_accounts",) if kind == "visitors" else ()
    output = tap.run(select=(kind, *children), page_size=4)
    assert tap.exit_code == 0
    for stream in (kind, *children):
        found = Counter((r[KEYS[kind]], r["read_at"]) for r in output.records(stream))
        assert {one for one, _ in found} == {*NAMES}
        assert max(found.values()) == 1
        assert len({at for _, at in found}) == 1 + short
    assert asked.limits(kind).count(None) == short - 1


@pytest.mark.parametrize("kind", ["visitors", "accounts"])
def test_people_whose_one_answer_breaks_off_come_again_with_a_later_read_at(
    kind: str, tap: TapRunner, people: Callable[..., list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_pendo.json_stream._BLOCK", 64)
    people(kind, "a", "B", "c", "D", *NAMES)
    tap.pendo.knobs.collation = "casefold"
    tap.pendo.faults.add({"kind": "cut", "rows": 9, "source": kind, "after": 1, "times": 2})
    output = tap.run(select=(kind,))
    assert tap.exit_code == 0
    found = Counter((r[KEYS[kind]], r["read_at"]) for r in output.records(kind))
    assert {one for one, _ in found} == {"a", "B", "c", "D", *NAMES}
    assert max(found.values()) == 1


# ids that a filter can name only with an escape: some, all of a page, all of the first pages
AWKWARD = [
    ["a", 'b"c', "d", "e"],
    ["a", 'b"1', 'b"2', 'b"3', 'b"4', 'b"5', "b\\6", "d", "e"],
    ['"1', '"2', '"3', '"4', '"5', "\\6", "\\7", "d", "e"],
    ["CORP\\1", "CORP\\2", "CORP\\3", "CORP\\4", "CORP\\5"],
    ["a", "b", "trailing\\", 'trailing\\"', '\\"'],
]
POSITIONS: list[tuple[int, t.Any]] = [
    (page_size, knob) for page_size in (1, 2, 3) for knob in ("read", "refused")
]


@pytest.mark.some(1)
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("ids", AWKWARD, ids=lambda ids: ids[1])
def test_events_of_ids_that_no_filter_can_name(
    ids: list[str], tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    # the hour before has none: all of what follows it comes too
    tap.pendo.world.inject(event(one, HOUR + LATER) for one in ids)
    tap.pendo.world.inject(event(one, HOUR + 2 * LATER) for one in [*ids, *ids, "z"])
    for page_size, knob in POSITIONS:
        tap.pendo.knobs.filter_escapes = knob
        tap.pendo.calls.clear()
        caplog.clear()
        output = read_hour(tap, hours=3, page_size=page_size)
        assert current(output) == sorted([*NAMES, *ids, *ids, "z"])
        assert not any(one in caplog.text for one in ids if len(one) > 2)
        # one is refused, and no other is tried
        refused = tap.pendo.calls.statuses[400]
        assert caplog.text.count("Pendo refuses a filter") == refused
        assert refused <= (knob == "refused")


@pytest.mark.some(2)
@pytest.mark.parametrize("ids", AWKWARD, ids=lambda ids: ids[1])
def test_people_whose_ids_no_filter_can_name(
    ids: list[str],
    tap: TapRunner,
    people: Callable[..., list[Record]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for kind in ("visitors", "accounts"):
        people(kind, *ids)
    for page_size, knob in POSITIONS:
        tap.pendo.knobs.filter_escapes = knob
        tap.pendo.calls.clear()
        caplog.clear()
        output = tap.run(select=("visitors", "accounts"), page_size=page_size)
        assert tap.exit_code == 0
        for kind in ("visitors", "accounts"):
            assert [r[KEYS[kind]] for r in output.records(kind)] == sorted(ids)
        refused = tap.pendo.calls.statuses[400]
        assert caplog.text.count("Pendo refuses a filter") == refused
        assert refused in ((0, 2) if knob == "refused" else (0,))


def test_a_refusal_of_another_page_is_told_as_it_is(
    tap: TapRunner, people: Callable[..., list[Record]], caplog: pytest.LogCaptureFixture
) -> None:
    people("visitors", *NAMES)
    fault = {"kind": "status", "status": 400, "text": "no such thing", "source": "visitors"}
    tap.pendo.faults.add({**fault, "after": 3, "times": None})
    tap.run(select=("visitors",), page_size=4)
    assert tap.exit_code == 1
    assert "400 no such thing" in caplog.text


# Reads that are stopped


def updated_at(known: list[Record], kind: str, one: str, moment: datetime) -> None:
    (found,) = [n for n, row in enumerate(known) if row[f"{kind[:-1]}Id"] == one]
    known[found] = person(kind, one, moment)


@pytest.mark.parametrize(
    ("page", "first_run", "kind"),
    [
        (1, True, "visitors"),
        (2, False, "visitors"),
        (3, True, "accounts"),
        (2, False, "accounts"),
    ],
)
def test_a_read_of_people_that_fails_is_resumed_behind_its_last_page(
    page: int,
    first_run: bool,
    kind: str,
    tap: TapRunner,
    asked: Requests,
    people: Callable[..., list[Record]],
) -> None:
    children = ("visitor_accounts",) if kind == "visitors" else ()
    select: tuple[str, ...] = (kind, *children)
    known = people(kind, *NAMES)
    state = None
    if not first_run:
        state = tap.run(select=select).state
        tap.pendo.clock.advance(24 * 3600)
        now = NOW + timedelta(days=1)
        for one in NAMES:
            updated_at(known, kind, one, now - timedelta(minutes=5))
    began = NOW + timedelta(days=0 if first_run else 1)
    asked.clear()
    # the first page is asked for twice, and there is a count
    fault = {"kind": "status", "status": 400, "source": kind, "after": page + 2, "times": None}
    tap.pendo.faults.add(fault)
    first = tap.run(select=select, state=state, page_size=4)
    assert tap.exit_code == 1
    tap.pendo.faults.clear()
    before = state["bookmarks"][kind] if state else {}
    marks = first.state["bookmarks"][kind]
    assert marks.get("replication_key_value") == before.get("replication_key_value")

    # one who was read changes, and one joins at a place that was passed
    tap.pendo.clock.advance(3600)
    later = began + timedelta(minutes=30)
    updated_at(known, kind, NAMES[0], later)
    known.append(person(kind, "a passed place", later))
    asked.clear()
    second = tap.run(select=select, state=first.state, page_size=4)
    assert tap.exit_code == 0
    assert asked.counts(kind) == 0
    # each page begins with the last row of the one before
    assert len(asked.limits(kind)) == 5 - page
    reads = []
    for stream in select:
        ids = [r[KEYS[kind]] for run in (first, second) for r in run.records(stream)]
        assert ids == NAMES
        stamps = [{r["read_at"] for r in run.records(stream)} for run in (first, second)]
        assert all(len(one) == 1 for one in stamps)
        reads.append(stamps)
    assert max(reads[0][0]) < min(reads[0][1])

    # the bookmark is that of the first beginning: nothing that changed since is lost
    marks = second.state["bookmarks"][kind]
    newest = HOUR if first_run else began - timedelta(minutes=5)
    expected = min(newest, began - timedelta(hours=1))
    assert from_text(marks["replication_key_value"]) == expected
    assert marks["unfinished"] is None
    third = tap.run(select=select, state=second.state, page_size=4)
    assert {NAMES[0], "a passed place"} <= {r[KEYS[kind]] for r in third.records(kind)}


@pytest.mark.parametrize(
    ("select", "settings"),
    [
        (("visitors", "visitor_accounts"), {}),
        (("visitors",), {"include_anonymous_visitors": True}),
    ],
)
def test_a_read_that_was_stopped_is_not_resumed_on_other_terms(
    select: tuple[str, ...],
    settings: Record,
    tap: TapRunner,
    people: Callable[..., list[Record]],
) -> None:
    people("visitors", *NAMES)
    fault = {"kind": "status", "status": 400, "source": "visitors", "after": 4, "times": None}
    tap.pendo.faults.add(fault)
    first = tap.run(select=("visitors",), page_size=4)
    assert first.state["bookmarks"]["visitors"]["unfinished"]
    tap.pendo.faults.clear()
    second = tap.run(select=select, state=first.state, page_size=4, **settings)
    assert tap.exit_code == 0
    for stream in select:
        assert [r["visitor_id"] for r in second.records(stream)] == NAMES


@pytest.mark.parametrize("mapped", ["visitors", "visitor_accounts"])
def test_a_map_that_may_hide_ids_keeps_them_out_of_the_state(
    mapped: str, tap: TapRunner, people: Callable[..., list[Record]]
) -> None:
    people("visitors", *NAMES)
    key = {"__key_properties__": ["visitor_id"]} if mapped == "visitors" else {}
    maps = {mapped: {"visitor_id": "md5(visitor_id)", **key}}
    output = tap.run(select=("visitors", "visitor_accounts"), page_size=4, stream_maps=maps)
    assert tap.exit_code == 0
    assert len(output.records("visitors")) == 12
    states = [json.dumps(m["value"]) for m in output if m["type"] == "STATE"]
    assert not [one for one in NAMES if any(one in state for state in states)]


def test_people_who_fall_short_after_a_read_that_was_stopped_come_again(
    tap: TapRunner, people: Callable[..., list[Record]]
) -> None:
    known = people("visitors", *NAMES)
    fault = {"kind": "status", "status": 400, "source": "visitors", "after": 4, "times": None}
    tap.pendo.faults.add(fault)
    first = tap.run(select=("visitors",), page_size=4)
    tap.pendo.faults.clear()
    del known[-1]
    second = tap.run(select=("visitors",), state=first.state, page_size=4)
    assert tap.exit_code == 0
    newest = max(r["read_at"] for r in second.records("visitors"))
    last = [r["visitor_id"] for r in second.records("visitors") if r["read_at"] == newest]
    assert last == NAMES[:-1]


def test_an_edited_mark_is_refused_in_one_line(
    tap: TapRunner, caplog: pytest.LogCaptureFixture
) -> None:
    state = {"bookmarks": {"visitors": {"unfinished": {"page": 5}}}}
    tap.run(select=("visitors",), state=state)
    assert tap.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors[0] == "visitors failed: state: `unfinished` of visitors is not valid"


def test_a_killed_read_of_people_is_resumed_behind_its_last_page(
    tap: TapRunner, tmp_path: Path
) -> None:
    tap.pendo.clock.set(datetime.now(UTC).isoformat())
    everybody = tap.pendo.world.count("visitors")
    pages = everybody // 34
    # it does not come to its end
    fault = {"kind": "delay", "seconds": 30, "source": "visitors", "after": pages - 2}
    tap.pendo.faults.add(fault)
    catalog = tap.tap(select=("visitors", "visitor_accounts", "visitor_applications")).catalog_dict
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    (tmp_path / "config.json").write_text(json.dumps({**tap.config, "page_size": 35}))
    command = [
        *(sys.executable, "-m", "tap_pendo"),
        *("--config", str(tmp_path / "config.json")),
        *("--catalog", str(tmp_path / "catalog.json")),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        lines: list[str] = []
        states = 0
        for line in process.stdout:
            lines.append(line)
            states += '"STATE"' in line and '"after"' in line
            if states == pages - 5:
                break
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    first = Output(json.loads(line) for line in lines if line.endswith("\n"))
    # what a target makes of it: the last STATE, and all before it
    tap.pendo.faults.clear()
    tap.pendo.calls.clear()
    select = ("visitors", "visitor_accounts", "visitor_applications")
    second = tap.run(select=select, state=first.state, page_size=35)
    assert tap.exit_code == 0
    assert tap.pendo.calls.counts["/api/v1/aggregation", "visitors"] <= 7
    found = Counter(r["visitor_id"] for run in (first, second) for r in run.records("visitors"))
    assert len(found) == everybody
    assert sum(found.values()) <= everybody + 35
    assert second.records("visitors")[0]["visitor_id"] > first.records("visitors")[17]["visitor_id"]
    whole = tap.run(select=select)
    for stream in select[1:]:
        of_both = {
            json.dumps({**r, "read_at": ""}) for run in (first, second) for r in run.records(stream)
        }
        assert of_both == {json.dumps({**r, "read_at": ""}) for r in whole.records(stream)}
