"""Every switch makes its difficulty, and leaves what is true reachable."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pendo_emulator.edge_cases import FLOOD
from pendo_emulator.pipeline.sources import EVERY_APP
from pendo_emulator.product.calendar import DAY, HOUR
from pendo_emulator.product.definitions import ALL_EVENTS
from pendo_emulator.product.events import SHARES
from pendo_emulator.product.random_values import VISITOR_IDS
from pendo_emulator.product.rows import ENTITY_FIELDS
from pendo_emulator.server import serve
from pendo_emulator.switches import SWITCHES, Switch, switch

IDENTITY = {"Accept-Encoding": "identity"}
ALL = {"appId": EVERY_APP}
WEEK = {"period": "hourRange", "first": "now()", "count": -7 * 24}
DAYS = {"period": "dayRange", "first": "now()", "count": -7}
ENTITIES = {
    **ENTITY_FIELDS,
    "guideEvents": "guideId",
    "pollEvents": "pollId",
    "emailEvents": "guideId",
    "singleEvents": "",
}
MENDABLE = [one for one in SWITCHES if not one.fatal]
FATAL = [one for one in SWITCHES if one.fatal]


class Fresh:
    """A client of an emulator of its own."""

    def __init__(self, emulator: Any, session: requests.Session) -> None:
        self.emulator = emulator
        self._session = session

    def get(self, path: str, **options: Any) -> requests.Response:
        """Get a path."""
        options = {"timeout": 10, **options}
        return self._session.get(self.emulator.url + path, **options)

    def ask(self, source: str, series: Any, *steps: Any, **options: Any) -> requests.Response:
        """Send a pipeline; event sources have a series, and answer for every app."""
        given = {source: ALL if series else None, **({"timeSeries": series} if series else {})}
        body = {"request": {"pipeline": [{"source": given}, *steps]}}
        url = self.emulator.url + "/api/v1/aggregation"
        return self._session.post(url, json=body, timeout=10, **options)

    def rows(self, source: str, series: Any, *steps: Any) -> list[dict[str, Any]]:
        """Return the rows of a pipeline's answer."""
        answer = self.ask(source, series, *steps)
        rows: list[dict[str, Any]] = answer.json()["results"]
        return rows

    def span(self) -> tuple[int, int]:
        """Return the three days before the present hour, ms."""
        now = self.emulator.clock.now()
        return now - now % HOUR - 3 * DAY, now - now % HOUR


@pytest.fixture
def fresh(new_world: Any) -> Iterator[Fresh]:
    with serve(new_world()) as emulator, requests.Session() as session:
        session.headers["x-pendo-integration-key"] = emulator.key
        yield Fresh(emulator, session)


def status(answer: requests.Response) -> int:
    return answer.status_code


def breaks(act: Callable[[], Any], error: type[Exception]) -> bool:
    try:
        act()
    except error:
        return True
    return False


def unsorted(keys: list[Any]) -> bool:
    return keys != sorted(keys)


def custom_types(fresh: Fresh) -> set[str]:
    custom = fresh.get("/api/v1/metadata/schema/visitor").json()["custom"]
    return {field["Type"] for field in custom.values()}


def share(fresh: Fresh, holds: Callable[[dict[str, Any]], bool]) -> float:
    rows = [row["metadata"] for row in fresh.rows("visitors", None)]
    return sum(map(holds, rows)) / len(rows)


def chunk_sizes(answer: requests.Response) -> list[int]:
    return [len(chunk) for chunk in answer.raw.read_chunked(decode_content=False)]


def found(fresh: Fresh, source: str, text: str) -> int:
    return len(fresh.rows(source, WEEK, {"filter": text}))


def retagged_away(fresh: Fresh) -> bool:
    first, last = fresh.emulator.clock.now() // HOUR * HOUR - 3 * DAY, DAY
    third = fresh.emulator.world.activity.entities["pageEvents"][2].id
    series = {"period": "hourRange", "first": first, "last": first + 2 * last - 1}
    return not fresh.rows("pageEvents", series, {"filter": f'pageId == "{third}"'})


def dimensions(row: dict[str, Any]) -> str:
    measures = ("numEvents", "numMinutes", "firstTime", "lastTime")
    kept = {name: row[name] for name in row if name not in measures and "Count" not in name}
    return json.dumps(kept, sort_keys=True)


SORT = {"sort": ["day", "visitorId"]}
NOTHING = {"filter": "false"}
ESCAPED = {"filter": 'visitorId == "a\\"b"'}
FOLDED = {"filter": '"b" < "C"'}
IDS = ("visitors", None, {"sort": ["visitorId"]}, {"select": {"id": "visitorId"}})

# What shows each difficulty; false where the switch is off.
EFFECTS: dict[str, Callable[[Fresh], Any]] = {
    "throttled": lambda f: [status(f.get("/api/v1/page")) for _ in range(3)] == [429, 429, 200],
    "throttled-retry-after": lambda f: f.get("/api/v1/page").headers.get("Retry-After") == "0",
    "throttled-403": lambda f: "rateLimitExceeded" in f.get("/api/v1/page").text,
    "throttled-409": lambda f: [status(f.get("/api/v1/page")) for _ in range(3)] == [409, 409, 200],
    "server-errors": lambda f: (
        [status(f.ask("apps", None)) for _ in range(4)] == [500, 502, 503, 200]
    ),
    "long-windows-time-out": lambda f: (
        [status(f.ask("events", {**WEEK, "count": -n})) for n in (6, 7)] == [200, 408]
    ),
    "large-answers-413": lambda f: status(f.ask("featureEvents", WEEK)) == 413,
    "large-answers-408": lambda f: status(f.ask("featureEvents", WEEK)) == 408,
    "slow-start": lambda f: breaks(
        lambda: f.get("/api/v1/tracktype", timeout=0.1), requests.exceptions.ReadTimeout
    ),
    "trickle": lambda f: (
        max(chunk_sizes(f.ask("visitors", None, headers=IDENTITY, stream=True))) == 4096
    ),
    "connection-breaks": lambda f: breaks(
        lambda: f.ask("visitors", None), requests.exceptions.ChunkedEncodingError
    ),
    "truncated": lambda f: breaks(
        lambda: f.ask("visitors", None).json(), requests.exceptions.JSONDecodeError
    ),
    "foreign-answers": lambda f: "results" not in f.ask("visitors", None).json(),
    "null-results": lambda f: f.rows("events", WEEK, NOTHING) is None,
    "unknown-fields": lambda f: (
        "unknownField" in f.rows("visitors", None)[0].keys() & f.get("/api/v1/page").json()[0]
    ),
    "fields-named-like-ours": lambda f: "row_id" in f.rows("events", WEEK)[0],
    "first-sort-key-only": lambda f: unsorted(
        [(row["day"], row["visitorId"]) for row in f.rows("events", DAYS, SORT)]
    ),
    "case-blind": lambda f: f.rows("visitors", None, FOLDED),
    "case-blind-sort": lambda f: (
        unsorted([row["id"] for row in f.rows(*IDS)]) and not f.rows("visitors", None, FOLDED)
    ),
    "escapes-refused": lambda f: status(f.ask("visitors", None, ESCAPED)) == 400,
    "split-rows": lambda f: (
        max(Counter(map(dimensions, f.rows("pageEvents", WEEK))).values()) == 2
    ),
    "flood": lambda f: f.rows("featureEvents", WEEK, {"count": None})[0]["count"] > FLOOD,
    "flood-of-one-moment": lambda f: (
        f.rows("guideEvents", WEEK, {"filter": 'startsWith(visitorId, "flood")'}, {"count": None})
        == [{"count": FLOOD}]
    ),
    "awkward-ids": lambda f: (
        set(VISITOR_IDS) < {row["visitorId"] for row in f.rows("pollEvents", WEEK)}
        and any("\n" in row["pageId"] for row in f.rows("pageEvents", WEEK))
    ),
    "anonymous-visitors": lambda f: found(f, "events", 'startsWith(visitorId, `_PENDO_T_"`)') == 3,
    "mixed-types": lambda f: (
        {type(row["pollResponse"]) for row in f.rows("pollEvents", WEEK)}
        == {int, str, float, bool, type(None), list, dict}
    ),
    "huge-integers": lambda f: "123456789012345678901234567890" in f.ask("trackEvents", WEEK).text,
    "huge-rows": lambda f: len(f.ask("trackEvents", WEEK).content) > 1 << 20,
    "mixed-metadata": lambda f: (
        share(f, lambda one: isinstance(one.get("custom", {}).get("mixed_integer"), str)) > 0.1
    ),
    "unknown-metadata-types": lambda f: "duration" in custom_types(f),
    "metadata-named-like-ours": lambda f: (
        share(f, lambda one: "read_at" in one.get("custom", {}) and "extra" in one) > 0.1
    ),
    "people-without-auto": lambda f: share(f, lambda one: "auto" not in one) > 0.2,
    "people-never-updated": lambda f: (
        share(f, lambda one: one.get("auto", {}).get("lastupdated", 1) is None) > 0.2
    ),
    "late-events": lambda f: found(f, "guideEvents", 'visitorId == "late@atlas.example"') == 2,
    "retagged": retagged_away,
    "new-york": lambda f: (
        {row["day"] % DAY for row in f.rows("events", DAYS)} == {4 * HOUR, 5 * HOUR}
    ),
    "not-a-number": lambda f: all(
        token in f.ask("pollEvents", WEEK).text for token in ("NaN", "Infinity", "-Infinity")
    ),
    "few-sort-fields": lambda f: status(f.ask("events", DAYS, {"sort": ["day", "a", "b"]})) == 400,
    "forbidden-stream": lambda f: status(f.ask("guideEvents", DAYS)) == 403,
    "key-revoked": lambda f: (
        [status(f.get("/api/v1/token/verify")) for _ in range(20)] == [200] * 19 + [403]
    ),
    "aggregation-down": lambda f: status(f.ask("apps", None)) == 503,
    "always-truncated": lambda f: all(
        breaks(lambda: f.ask("pollEvents", DAYS).json(), requests.exceptions.JSONDecodeError)
        for _ in range(3)
    ),
}  # fmt: skip


def test_every_switch_is_tested_and_has_a_name_and_a_sentence() -> None:
    names = [one.name for one in SWITCHES]

    assert sorted(names) == sorted(EFFECTS)
    assert all(name == name.lower() and " " not in name for name in names)
    assert all(one.about.endswith(".") for one in SWITCHES)
    assert {one.fatal for one in SWITCHES} == {True, False}


@pytest.mark.parametrize("one", SWITCHES, ids=lambda one: one.name)
def test_a_switch_makes_its_difficulty(fresh: Fresh, one: Switch) -> None:
    show = EFFECTS[one.name]

    assert not show(fresh)
    one.apply(fresh.emulator)
    assert show(fresh)


def read(fresh: Fresh, source: str, first: int, last: int, tries: int = 6) -> list[dict[str, Any]]:
    """Return all rows of [first, last), as a patient client reads them: again, then in halves."""
    series = {"period": "hourRange", "first": first, "last": last - 1}
    for _ in range(tries):
        try:
            answer = fresh.ask(source, series)
            if answer.status_code == 200:
                # Python's own decoder takes NaN, which others refuse
                return json.loads(answer.text)["results"] or []
        except (requests.exceptions.RequestException, ValueError, KeyError):
            continue
        if answer.status_code in (408, 413) and last - first > HOUR:
            middle = first + (last - first) // 2 // HOUR * HOUR
            return read(fresh, source, first, middle) + read(fresh, source, middle, last)
    raise AssertionError(f"{source} does not answer")


@pytest.mark.parametrize("one", MENDABLE, ids=lambda one: one.name)
def test_a_patient_client_ends_with_the_truth(fresh: Fresh, one: Switch) -> None:
    one.apply(fresh.emulator)
    first, last = fresh.span()
    for source, entity in ENTITIES.items():
        sums: Counter[tuple[int, str]] = Counter()
        for row in read(fresh, source, first, last):
            sums[row["appId"], row[entity] if entity else ALL_EVENTS] += row.get("numEvents", 1)
        truth: Counter[tuple[int, str]] = Counter()
        for (app, key, _day), count in fresh.emulator.world.sums(source, first, last).items():
            truth[app, key] += count

        assert sums == truth
        assert sums


@pytest.mark.parametrize("one", FATAL, ids=lambda one: one.name)
def test_a_fatal_switch_leaves_the_truth_alone(new_world: Any, one: Switch) -> None:
    with serve(new_world()) as emulator:
        last = emulator.clock.now() // HOUR * HOUR - 2 * DAY
        before = {source: emulator.world.sums(source, last - DAY, last) for source in SHARES}
        one.apply(emulator)

        assert {s: emulator.world.sums(s, last - DAY, last) for s in SHARES} == before


def test_unknown_switches_are_refused_with_the_known_ones(fresh: Fresh) -> None:
    with pytest.raises(ValueError, match="one of throttled, "):
        switch("nope")
    with pytest.raises(ValueError, match="one of throttled, "):
        fresh.emulator.arm("flood", "nope")
    assert not EFFECTS["flood"](fresh)
