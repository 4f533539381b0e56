"""Knows every way in which this Pendo can be made difficult: one table, a row for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from pendo_emulator import edge_cases
from pendo_emulator.faults import Faults
from pendo_emulator.pipeline.sources import EVENT_SOURCES, PARAMETERS
from pendo_emulator.routes import LISTS
from pendo_emulator.world import World

_AGGREGATION = "/api/v1/aggregation"
_SOURCES = PARAMETERS.keys() - {"const"}
_LARGE = 40_000  # bytes: more than an hour, less than a day, of a world of the default size
_NEW_FIELDS = {"unknownField": {"new": [True]}, "unknown_text": "x"}
_OUR_FIELDS = {"extra": 1, "read_at": "x", "row_id": "x", "visitor_id": "x"}


class Emulated(Protocol):
    """What a switch acts on: an emulator, by its world and its faults."""

    @property
    def world(self) -> World:
        """The made-up product."""

    @property
    def faults(self) -> Faults:
        """The faults in force."""


@dataclass(frozen=True)
class Switch:
    """One difficulty.

    `apply(emulator)` brings it about, from now on. A correct client still ends with what
    `World.sums` says, unless the difficulty is `fatal`: then it says clearly what it lacks.
    """

    name: str
    about: str
    apply: Callable[[Emulated], None]
    fatal: bool = False


def _faults(*faults: dict[str, Any]) -> Callable[[Emulated], None]:
    return lambda emulator: emulator.faults.add(*faults)


def _everywhere(**fault: Any) -> list[dict[str, Any]]:
    """Return a fault for each source and each list, as each is counted for itself."""
    return [{**fault, "source": source} for source in _SOURCES] + [
        {**fault, "path": path} for path in LISTS
    ]


def _knobs(**values: Any) -> Callable[[Emulated], None]:
    def apply(emulator: Emulated) -> None:
        for name, value in values.items():
            setattr(emulator.world.knobs, name, value)

    return apply


def _world(change: Callable[..., None], *arguments: Any) -> Callable[[Emulated], None]:
    return lambda emulator: change(emulator.world, *arguments)


def _zone(name: str) -> Callable[[Emulated], None]:
    def apply(emulator: Emulated) -> None:
        emulator.world.zone = ZoneInfo(name)

    return apply


def _too_large(status: int) -> Callable[[Emulated], None]:
    fault = {"kind": "too_large", "status": status, "bytes": _LARGE, "times": None}
    return _faults(*({**fault, "source": source} for source in EVENT_SOURCES))


_THROTTLED = {"kind": "status", "status": 429, "times": 2}
_QUOTA = '{"error":{"code":403,"errors":[{"reason":"rateLimitExceeded"}]}}'
_FOREIGN = {"kind": "status", "status": 200, "text": '{"message":"Endpoint request timed out"}'}
_REVOKED = {"kind": "status", "status": 403, "times": None}

SWITCHES: tuple[Switch, ...] = (
    # calls that fail, and would not if they were made again
    Switch(
        "throttled",
        "Each source and list is answered twice with 429, without Retry-After.",
        _faults(*_everywhere(**_THROTTLED)),
    ),
    Switch(
        "throttled-retry-after",
        "Each source and list is answered twice with 429 and Retry-After: 0.",
        _faults(*_everywhere(**_THROTTLED, retry_after=0)),
    ),
    Switch(
        "throttled-403",
        "Each source and list is answered twice with 403 and the reason rateLimitExceeded.",
        _faults(*_everywhere(kind="status", status=403, text=_QUOTA, times=2)),
    ),
    Switch(
        "throttled-409",
        "Each source and list is answered twice with 409 and Retry-After: 0.",
        _faults(*_everywhere(kind="status", status=409, times=2, retry_after=0)),
    ),
    Switch(
        "server-errors",
        "Each source and list is answered with 500 and a text, 502, then 503.",
        _faults(
            *_everywhere(kind="status", status=500, text="Unexpected error occurred string"),
            *_everywhere(kind="status", status=502),
            *_everywhere(kind="status", status=503),
        ),
    ),
    Switch(
        "long-windows-time-out",
        "408 for every window of more than 6 hours.",
        _faults({"kind": "status", "status": 408, "hours": 6, "times": None}),
    ),
    Switch(
        "large-answers-413",
        "413 for every answer of an event source of more than 40 kB.",
        _too_large(413),
    ),
    Switch(
        "large-answers-408",
        "408 for every answer of an event source of more than 40 kB.",
        _too_large(408),
    ),
    Switch(
        "slow-start",
        "Each source and list keeps its client waiting once, for a second.",
        _faults(*_everywhere(kind="delay", seconds=1)),
    ),
    Switch(
        "trickle",
        "Each source and list is sent once in pieces of 4 kB, a millisecond apart.",
        _faults(*_everywhere(kind="trickle", bytes=4096, seconds=0.001)),
    ),
    Switch(
        "connection-breaks",
        "The connection ends after half a kB, then after one row, of each source and list.",
        _faults(*_everywhere(kind="cut", bytes=512), *_everywhere(kind="cut", rows=1)),
    ),
    Switch(
        "truncated",
        "200 with a body that ends after half a kB, then after one row, of each source and list.",
        _faults(*_everywhere(kind="truncate", bytes=512), *_everywhere(kind="truncate", rows=1)),
    ),
    # answers of another form
    Switch(
        "foreign-answers",
        "Each source is answered once with 200 and a JSON document of something else.",
        _faults(*({**_FOREIGN, "source": source} for source in _SOURCES)),
    ),
    Switch(
        "null-results", "Where there are no rows, results is null.", _knobs(empty_results="null")
    ),
    Switch(
        "unknown-fields",
        "Each row and each object of a list has fields that nobody knows.",
        _faults({"kind": "extra_fields", "fields": _NEW_FIELDS, "times": None}),
    ),
    Switch(
        "fields-named-like-ours",
        "Each row of events has fields named extra, read_at, row_id, visitor_id.",
        _faults(
            *(
                {"kind": "extra_fields", "fields": _OUR_FIELDS, "source": source, "times": None}
                for source in EVENT_SOURCES
            )
        ),
    ),
    Switch(
        "first-sort-key-only",
        "Of several sort keys only the first is honoured.",
        _knobs(sort_keys=1),
    ),
    Switch(
        "few-sort-fields",
        "400 for a sort by more than two fields.",
        _knobs(max_sort_fields=2),
    ),
    Switch(
        "case-blind",
        "Texts are sorted and compared without case.",
        _knobs(collation="casefold"),
    ),
    Switch(
        "case-blind-sort",
        "Texts are sorted without case, but compared with it.",
        _knobs(collation="casefold_sort"),
    ),
    Switch(
        "escapes-refused",
        "400 for a filter with an escaped quote or backslash in it.",
        _knobs(filter_escapes="refused"),
    ),
    Switch(
        "split-rows",
        "Grouped rows of several events come as two rows that are equal in all dimensions.",
        _knobs(split_rows=True),
    ),
    # data that are odd but possible
    Switch(
        "flood",
        "60,000 rows of featureEvents in one hour, most of them one visitor's.",
        _world(edge_cases.flood, "featureEvents"),
    ),
    Switch(
        "flood-of-one-moment",
        "60,000 rows of guideEvents with one browserTime, most of them one visitor's.",
        _world(edge_cases.flood, "guideEvents"),
    ),
    Switch(
        "awkward-ids",
        "Ids with quotes, backslashes, slashes, line breaks and emoji.",
        _world(edge_cases.awkward_ids),
    ),
    Switch(
        "anonymous-visitors",
        "Events of anonymous visitors, their account empty, null or missing.",
        _world(edge_cases.anonymous_visitors),
    ),
    Switch(
        "mixed-types",
        "Poll answers, properties and parameters of every JSON type.",
        _world(edge_cases.mixed_types),
    ),
    Switch(
        "huge-integers",
        "Whole numbers beyond 64 bits in events and metadata.",
        _world(edge_cases.huge_integers),
    ),
    Switch("huge-rows", "Rows of more than a megabyte.", _world(edge_cases.huge_rows)),
    Switch(
        "mixed-metadata",
        "Metadata whose values are of other types than the schema names.",
        _world(edge_cases.mixed_metadata),
    ),
    Switch(
        "unknown-metadata-types",
        "Metadata fields of unknown types, and of none.",
        _world(edge_cases.unknown_metadata_types),
    ),
    Switch(
        "metadata-named-like-ours",
        "Custom metadata named visitor_id, extra, metadata, read_at and so on.",
        _world(edge_cases.names_of_ours),
    ),
    Switch(
        "people-without-auto",
        "A third of visitors and accounts has no metadata.auto.",
        _world(edge_cases.people_without_auto),
    ),
    Switch(
        "people-never-updated",
        "A third of visitors and accounts has null for metadata.auto.lastupdated.",
        _world(edge_cases.people_never_updated),
    ),
    # time
    Switch(
        "late-events",
        "Events of yesterday and of six days ago arrive now.",
        _world(edge_cases.late_events),
    ),
    Switch(
        "retagged",
        "Events of the two days before yesterday count for other entities, or for none.",
        _world(edge_cases.retag_yesterday),
    ),
    Switch(
        "new-york",
        "Days are New York's: 2026-03-08 has 23 hours, 2025-11-02 and 2026-11-01 have 25.",
        _zone("America/New_York"),
    ),
    Switch(
        "not-a-number",
        "NaN and Infinity, which are not JSON, in rows of yesterday.",
        _world(edge_cases.not_numbers),
    ),
    # what no client can mend
    Switch(
        "forbidden-stream",
        "403 for guideEvents; the key is valid.",
        _faults({**_REVOKED, "source": "guideEvents"}),
        fatal=True,
    ),
    Switch(
        "key-revoked",
        "403 for everything from the twentieth call on.",
        _faults({**_REVOKED, "after": 19}),
        fatal=True,
    ),
    Switch(
        "aggregation-down",
        "503 for every aggregation.",
        _faults({"kind": "status", "status": 503, "path": _AGGREGATION, "times": None}),
        fatal=True,
    ),
    Switch(
        "always-truncated",
        "200 with a body that ends after one row, for every call of pollEvents.",
        _faults({"kind": "truncate", "rows": 1, "source": "pollEvents", "times": None}),
        fatal=True,
    ),
)


def switch(name: str) -> Switch:
    """Return the switch of a name.

    Raises:
        ValueError: for an unknown one, with the known ones.
    """
    for one in SWITCHES:
        if one.name == name:
            return one
    raise ValueError(f"switch must be one of {', '.join(one.name for one in SWITCHES)}")
