"""Rows are read column by column, and decided about together, as if each were read whole alone."""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter

import msgspec
import pytest
from target_planhat import columns, settings, sinks
from target_planhat.contributions import Rejection
from target_planhat.mapping import Mapper
from target_planhat.sinks import Events, RuleIntake
from target_planhat.target import TargetPlanhat

if t.TYPE_CHECKING:
    from target_planhat.contributions import Cell, Figures

STARTED = 1_773_300_000_000
# what Python takes for the same, or cannot tell apart, and Pendo does not
SAME = [None, "", "1", 1, 1.0, True, 0, False, "0", -0.0, [], {}, {"a": 1}, "v", "_PENDO_T_x"]
RULES = [
    {"name": "day", "stream": "feature_events", "where": {"country": ["1", "true"]}},
    {
        "name": "hour",
        "stream": "feature_events",
        "granularity": "hour",
        "info": {"minutes": "num_minutes", "app": "app_id"},
    },
]
ROW = {
    "visitor_id": "v",
    "account_id": "acme",
    "app_id": 7,
    "feature_id": "f",
    "country": "1",
    "hour": "2026-03-09T08:00:00Z",
    "num_events": 2,
    "num_minutes": 3,
    "read_at": "2026-03-10T00:00:00Z",
    "properties": {"plan": "pro"},
    "unread": 1,
}
TIMES = ["2026-03-09T09:00:00Z", 1773046800000, 1773046800000.0, "2026-03-09T09:00:00+00:00"]
PLANS: list[t.Any] = [{"plan": value} for value in SAME]
Told = tuple[t.Any, ...]


class Kept:
    """Keeps what is staged."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def add(self, rule_id: int, cell: Cell, figures: Figures) -> None:
        """Keep it."""
        self.told.append((rule_id, cell, repr(figures)))

    def period(self, rule_id: int, first: str) -> str:
        """Say that rules count by hours, as all rows here do."""
        del rule_id, first
        return "hour"


def mappers(**rules: list[dict[str, t.Any]]) -> list[Mapper]:
    config = {"tenant_token": "t", "api_token": "t", **rules}
    found = settings.parsed(TargetPlanhat(config=config).config)
    return [Mapper(rule, zone=found.zone, since=None, started=STARTED) for rule in found.rules]


MAPPERS = mappers(activities=RULES)
WITHIN = mappers(activities=[{**RULES[0], "company": "properties.plan"}, RULES[1]])


def alone(by: list[Mapper], rows: list[dict[str, t.Any]]) -> list[Told]:
    """Map each row by itself."""
    told: list[Told] = []
    for row in rows:
        for number, mapper in enumerate(by):
            cell = mapper.cell(row)
            figures = cell if isinstance(cell, Rejection) else mapper.figures(row)
            reason = isinstance(figures, Rejection)
            told.append((number, figures) if reason else (number, cell, repr(figures)))
    return told


def together(by: list[Mapper], rows: list[dict[str, t.Any]]) -> list[Told]:
    """Map them as the sink does."""
    kept: t.Any = Kept()
    rule: t.Any = None
    intakes = [RuleIntake(number, rule, mapper, "hour") for number, mapper in enumerate(by)]

    def reject(intake: RuleIntake, found: Rejection, record: msgspec.Raw) -> None:
        del record
        kept.told.append((intake.id, found))

    events = Events(intakes, kept, kept, frozenset(), reject)
    for row in rows:
        events.take(msgspec.Raw(msgspec.json.encode(row)))
    return t.cast("list[Told]", kept.told)


@pytest.mark.parametrize("field", ROW)
@pytest.mark.parametrize("by", [MAPPERS, WITHIN], ids=["plain", "within objects"])
def test_rows_count_together_for_what_each_counts_for_alone(by: list[Mapper], field: str) -> None:
    values = [*SAME, *TIMES, *PLANS]
    pairs = itertools.product(values, values)
    rows = [{**ROW, field: value} for value in itertools.chain.from_iterable(pairs)]

    assert together(by, rows) == alone(by, rows)


def test_more_different_rows_than_are_remembered_are_told_apart_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sinks, "_REMEMBERED", 3)
    rows = [{**ROW, "visitor_id": f"v{n % 5}"} for n in range(20)]

    told = together(MAPPERS, rows)
    assert told == alone(MAPPERS, rows)
    assert Counter(cell.subject for _, cell, _ in told) == {f"v{n}": 8 for n in range(5)}


def test_only_what_is_wanted_of_a_record_is_read() -> None:
    read = columns.reader(["id", "class"], ["a.b"])

    assert read(msgspec.Raw(b'{"x": [1], "a.b": {"c": 1}, "id": 7}')) == (7, None, {"c": 1})
    for odd in (b"true", b"1.0", b"[]", b"{}"):
        assert read(msgspec.Raw(b'{"id": ' + odd + b"}")) is None


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "line\nfeed", "\ud800"])
def test_names_that_cannot_be_read_alone_are_left_to_whole_records(name: str) -> None:
    rule = {"stream": "totals", "dimension_id": "d", "value": name, "where": {name: [1, 2]}}
    plain = {**rule, "name": "plain", "dimension_id": "e", "value": "n"}
    by = mappers(metrics=[{**rule, "name": "odd"}, plain])
    rows = [{"account_id": "acme", "n": n, name.strip("\ud800"): n} for n in range(3)]

    assert columns.reader([name], [])(msgspec.Raw(b"{}")) is None
    assert together(by, rows) == alone(by, rows)
