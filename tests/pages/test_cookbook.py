"""The questions of docs/sql.md about usage, against the same counted from the tap's records."""

from __future__ import annotations

import re
import typing as t
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest
from emulation.clock import Clock
from pendo_emulator.server import serve
from pendo_emulator.world import World
from tap_pendo import tap as tap_module
from tap_pendo.api import client as tap_client
from tap_pendo.calendar import from_ms, to_ms

from tests.conftest import NOW, TapRunner, Warehouse
from tests.documents import ROOT, blocks
from tests.sink import EVENTS, Sink

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from with_demo.postgres import Server

Record = dict[str, t.Any]
PAGE = "docs/sql.md"
STREAMS = ("applications", "features", "guides", "guide_steps", "accounts")
SELECT = (*STREAMS, *(row.name for row in EVENTS))
START = NOW - timedelta(days=40)
# the end of the last closed hour
END = NOW.replace(minute=0, second=0)


class Cookbook:
    """The warehouse with the views, and the records that should be current in it."""

    def __init__(self, warehouse: Warehouse, sink: Sink) -> None:
        self.warehouse = warehouse
        self.sink = sink
        self.tables = {
            name: list(sink.tables[name].values()) for name in (*STREAMS, "sync_windows")
        }
        self.events = {row.name: sink.current(row) for row in EVENTS}

    def ask(self, heading: str, place: int = 0) -> list[tuple[t.Any, ...]]:
        """Run a statement of the page."""
        sql = blocks(PAGE, heading, "sql")[place]
        return self.warehouse.rows(sql.replace("tap_pendo.", f"{self.warehouse.schema}."))

    def since(self, stream: str, days: int) -> list[Record]:
        """Current rows of the last days."""
        first = END - timedelta(days=days)
        return [row for row in self.events[stream] if moment(row["hour"]) >= first]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def busy_week(world: World) -> list[Record]:
    """Events of one account's visitor, in the week before the last one."""
    account = next(
        row["accountId"]
        for row in world.accounts(world.clock.now())
        if (row["metadata"].get("agent") or {}).get("name")
    )
    event = {"source": "events", "visitorId": "ann", "accountId": account}
    hours = range(8 * 24, 13 * 24)
    return [
        {**event, "ts": to_ms(NOW - timedelta(hours=hour, minutes=minute))}
        for hour in hours
        for minute in (1, 2, 3)
    ]


@pytest.fixture(scope="module")
def book(postgres: Server) -> Iterator[Cookbook]:
    """Read 40 days, and two of them again after a feature's uses of that time are gone."""
    world = World(events_per_day=250, visitors=300, accounts=40, clock=Clock(NOW.isoformat()))
    with serve(world) as pendo, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tap_client, "FIRST_WAIT", 0.0)
        patch.setattr(tap_module, "utc_now", lambda: from_ms(pendo.clock.now()))
        warehouse, sink, tap = Warehouse(postgres, "cookbook"), Sink(), TapRunner(pendo)
        world.inject(busy_week(world))
        first = tap.run(select=SELECT, start_date=START.isoformat())
        uses = Counter(row["feature_id"] for row in first.records("feature_events"))
        [(most, _)] = uses.most_common(1)
        days = NOW - timedelta(days=10), NOW - timedelta(days=4)
        world.retag("featureEvents", most, None, *(to_ms(day) for day in days))
        pendo.clock.advance(60)
        again = tap.run(
            select=SELECT,
            start_date=days[0].date().isoformat(),
            end_date=days[1].date().isoformat(),
        )
        for output in (first, again):
            warehouse.load(output)
            sink.load(output)
        [views] = blocks(PAGE, "Current rows of all event streams", "sql")
        warehouse.execute(views.replace("tap_pendo.", f"{warehouse.schema}."))
        yield Cookbook(warehouse, sink)


@pytest.mark.parametrize("stream", [row.name for row in EVENTS])
def test_views_show_the_current_rows(stream: str, book: Cookbook) -> None:
    found = book.warehouse.rows(f"select row_id from current_{stream}")

    assert found
    assert {row_id for (row_id,) in found} == {row["row_id"] for row in book.events[stream]}


def test_some_rows_are_not_current(book: Cookbook) -> None:
    held = len(book.sink.tables["feature_events"])

    assert book.warehouse.rows("select count(*) from feature_events") == [(held,)]
    assert len(book.events["feature_events"]) < held


def test_feature_adoption(book: Cookbook) -> None:
    active: dict[int, set[str]] = defaultdict(set)
    for row in book.since("events", 30):
        active[row["app_id"]].add(row["visitor_id"])
    uses: Counter[str] = Counter()
    visitors: dict[str, set[str]] = defaultdict(set)
    accounts: dict[str, set[str]] = defaultdict(set)
    for row in book.since("feature_events", 30):
        uses[row["feature_id"]] += row["num_events"]
        visitors[row["feature_id"]].add(row["visitor_id"])
        accounts[row["feature_id"]].add(row.get("account_id"))
    apps = {one["id"]: one["app_id"] for one in book.tables["features"]}

    found = {of: counts for of, _, *counts in book.ask("Feature adoption")}

    assert found.keys() == apps.keys()
    for of, (people, companies, number, percent) in found.items():
        assert (people, number) == (len(visitors[of]), uses[of])
        assert companies == len(accounts[of] - {None})
        if active[apps[of]]:
            share = 100 * len(visitors[of]) / len(active[apps[of]])
            assert float(percent) == pytest.approx(share, abs=0.051)
        else:
            assert percent is None
    assert max(percent or 0 for *_, percent in found.values()) > 5


def test_active_accounts_by_week(book: Cookbook) -> None:
    weeks: dict[str, list[Record]] = defaultdict(list)
    for row in book.events["events"]:
        day = moment(row["hour"]).date()
        weeks[(day - timedelta(days=day.weekday())).isoformat()].append(row)

    found = book.ask("Active accounts")

    assert len(found) >= 6
    assert {week.date().isoformat(): counts for week, *counts in found} == {
        week: [
            len({row.get("account_id") for row in rows} - {None}),
            len({row["visitor_id"] for row in rows}),
            sum(row["num_events"] for row in rows),
        ]
        for week, rows in weeks.items()
    }


def test_accounts_that_have_gone_quiet(book: Cookbook) -> None:
    both: Counter[t.Any] = Counter()
    this: Counter[t.Any] = Counter()
    for days, counts in ((14, both), (7, this)):
        for row in book.since("events", days):
            counts[row.get("account_id")] += row["num_events"]
    names = {
        one["account_id"]: (one["metadata"].get("agent") or {}).get("name")
        for one in book.tables["accounts"]
    }
    expected = {
        (account, names[account], this[account], both[account] - this[account])
        for account in both
        if account in names and this[account] < (both[account] - this[account]) / 2
    }

    found = book.ask("Active accounts", 1)

    assert found
    assert set(found) == expected
    losses = [before - now for _, _, now, before in found]
    assert losses == sorted(losses, reverse=True)
    assert any(name for _, name, *_ in found)


def test_guide_funnel(book: Cookbook) -> None:
    names = {one["id"]: one["name"] for one in book.tables["guides"]}
    people: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in book.events["guide_events"]:
        people[row["guide_step_id"], row["type"]].add(row["visitor_id"])
    kinds = ("guideSeen", "guideAdvanced", "guideDismissed")
    steps = {
        (one["guide_id"], one["position"]): [len(people[one["id"], kind]) for kind in kinds]
        for one in book.tables["guide_steps"]
    }
    expected = Counter()
    for (guide, position), (seen, *others) in steps.items():
        first = steps[guide, 0][0]
        percent = f"{100 * seen / first:.1f}" if first else None
        expected[(names[guide], position, seen, percent, *others)] += 1

    found = book.ask("Guide funnel")

    assert len(found) == len(steps)
    assert (
        Counter((*row[:3], None if row[3] is None else str(row[3]), *row[4:]) for row in found)
        == expected
    )
    assert any(position and seen for _, position, seen, *_ in found)


def test_time_on_app(book: Cookbook) -> None:
    names = {one["id"]: one["name"] for one in book.tables["applications"]}
    minutes: Counter[int] = Counter()
    visitors: dict[int, set[str]] = defaultdict(set)
    for row in book.events["events"]:
        minutes[row["app_id"]] += row["num_minutes"]
        visitors[row["app_id"]].add(row["visitor_id"])

    found = book.ask("Time on app")

    assert len(found) > 1
    assert sorted(row[:3] for row in found) == sorted(
        (names[app], len(visitors[app]), minutes[app]) for app in minutes
    )
    for _, people, total, each in found:
        assert float(each) == pytest.approx(float(total) / people, abs=0.051)


def test_types_of_columns_are_those_of_the_page_on_streams(book: Cookbook) -> None:
    text = (ROOT / "docs" / "streams.md").read_text()
    types: dict[str, str] = {}
    for names, kind in re.findall(r"^\| ([\w, -]+) \| `([^`]+)`.* \|$", text, re.MULTILINE):
        for name in names.split(", "):
            types |= {name: kind, f"array of {name}": f"{kind}[]"}
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    for stream in (*SELECT, "sync_windows"):
        said = re.findall(r"^\| \**`(\w+)`\** \| ([\w -]+) \|", sections[stream], re.MULTILINE)
        found = book.warehouse.rows(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            f"where attrelid = '{book.warehouse.schema}.{stream}'::regclass "
            "and attnum > 0 and attname not like '\\_sdc\\_%'"
        )

        assert dict(found) == {name: types[kind] for name, kind in said}
