"""Of rows, only the fields that rules name are read; they count as if rows were read whole."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import msgspec
import pytest
from target_planhat.config import settings
from target_planhat.intake.record_mapper import Mapper
from target_planhat.intake.stream_handlers import Events, RuleIntake
from target_planhat.rule_model import Rejection
from target_planhat.target import TargetPlanhat

if t.TYPE_CHECKING:
    from target_planhat.rule_model import Cell

STARTED = 1_773_300_000_000
# among them what Python takes for the same, and Pendo does not
VALUES: list[t.Any] = [
    None,
    "",
    "1",
    1,
    1.0,
    True,
    0,
    False,
    "0",
    -0.0,
    [],
    {},
    {"a": 1},
    "v",
    "_PENDO_T_x",
]
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
PLANS: list[t.Any] = [{"plan": value} for value in VALUES]
Told = tuple[t.Any, ...]


class Kept:
    """Keeps what is staged."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def add(
        self, rule_id: int, cell: Cell, value: float, info: dict[str, t.Any] | None = None
    ) -> None:
        """Keep it."""
        self.told.append((rule_id, cell, repr(value), repr(info or {})))

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


def whole(by: list[Mapper], rows: list[dict[str, t.Any]]) -> list[Told]:
    """Map rows that are read whole."""
    told: list[Told] = []
    for row in rows:
        for number, mapper in enumerate(by):
            cell = mapper.cell(row)
            value = cell if isinstance(cell, Rejection) else mapper.value(row)
            if isinstance(cell, Rejection) or isinstance(value, Rejection):
                told.append((number, value))
            else:
                told.append((number, cell, repr(value), repr(mapper.info(row))))
    return told


def taken(by: list[Mapper], rows: list[dict[str, t.Any]]) -> list[Told]:
    """Map them as the sink does."""
    kept: t.Any = Kept()
    settled = settings.parsed(TargetPlanhat(config={"tenant_token": "t"}).config)
    rule: t.Any = replace(settled.rules[0], info={"any": "any"})
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
def test_rows_count_for_what_they_count_for_when_read_whole(by: list[Mapper], field: str) -> None:
    rows = [{**ROW, field: value} for value in [*VALUES, *TIMES, *PLANS]]
    rows.append({name: value for name, value in ROW.items() if name != field})

    assert taken(by, rows) == whole(by, rows)


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "line\nfeed", "\ud800"])
def test_fields_of_any_name_are_read(name: str) -> None:
    rule = {"stream": "totals", "dimension_id": "d", "value": name, "where": {name: [1, 2]}}
    plain = {**rule, "name": "plain", "dimension_id": "e", "value": "n"}
    by = mappers(metrics=[{**rule, "name": "odd"}, plain])
    rows = [{"account_id": "acme", "n": n, name.strip("\ud800"): n} for n in range(3)]

    assert taken(by, rows) == whole(by, rows)
