"""The statements of docs/sql.md on people and polls, on what target-postgres has loaded."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from datetime import timedelta

from tap_pendo.calendar import to_ms

from tests.conftest import NOW
from tests.documents import blocks

if t.TYPE_CHECKING:
    from tests.conftest import TapRunner, Warehouse

Record = dict[str, t.Any]
PAGE = "docs/sql.md"
NPS, SCORE = blocks(PAGE, "NPS: rating and comment", "sql")
[PAIRS] = blocks(PAGE, "What belongs to a visitor or an account now", "sql")
[DELETED] = blocks(PAGE, "Visitors that Pendo has deleted", "sql")
SELECT = ("polls", "poll_events", "visitors", "visitor_accounts")


def statement(sql: str, warehouse: Warehouse) -> str:
    return sql.replace("tap_pendo.", f"{warehouse.schema}.")


def test_nps_with_comments(tap: TapRunner, warehouse: Warehouse) -> None:
    run = tap.run(select=("polls",))
    by_type = {p["attributes"]["type"]: p for p in run.records("polls")}
    rating, comment = by_type["NPSRating"], by_type["FreeForm"]
    assert rating["attributes"]["followUp"] == comment["id"]

    def answer(
        poll: dict[str, t.Any], hours: float, value: t.Any, visitor: str
    ) -> dict[str, t.Any]:
        return {
            "source": "pollEvents",
            "ts": to_ms(NOW - timedelta(hours=hours)),
            "visitorId": visitor,
            "accountId": "acme",
            "guideId": poll["guide_id"],
            "pollId": poll["id"],
            "pollType": poll["attributes"]["type"],
            "pollResponse": value,
        }

    tap.pendo.world.inject(
        [
            answer(rating, 30, 3, "ann"),
            answer(comment, 29.9, "slow", "ann"),
            answer(rating, 20, 9, "ann"),
            answer(comment, 19.5, "much better", "ann"),
            answer(rating, 10, 10, "bob"),
            answer(comment, 9, "stray", "cy"),
            answer(rating, 8, 2, "dan"),
        ]
    )
    output = tap.run(select=SELECT, start_date=(NOW - timedelta(days=30)).isoformat())
    warehouse.load(output)
    warehouse.execute(statement(NPS, warehouse))
    found = warehouse.rows(
        "select visitor_id, rating, comment from nps where account_id = 'acme' order by rated_at"
    )
    assert found == [
        ("ann", 3, "slow"),
        ("ann", 9, "much better"),
        ("bob", 10, None),
        ("dan", 2, None),
    ]
    ratings = [r for r in output.records("poll_events") if r["poll_type"] == "NPSRating"]
    numbers = [r for r in ratings if r["poll_response"].isdigit()]
    assert warehouse.rows("select count(*) from nps") == [(len(numbers),)]

    last: dict[tuple[str, str], dict[str, t.Any]] = {}
    for record in sorted(numbers, key=lambda r: str(r["browser_time"])):
        last[record["visitor_id"], record.get("account_id") or ""] = record
    by_account: dict[str, list[int]] = defaultdict(list)
    for (_, account), record in last.items():
        by_account[account].append(int(record["poll_response"]))
    scores = {
        account: (len(of), round(100 * sum((n >= 9) - (n <= 6) for n in of) / len(of)))
        for account, of in by_account.items()
    }
    table = warehouse.rows(statement(SCORE, warehouse))
    assert {a or "": (n, float(s)) for a, n, s in table}.keys() == scores.keys()
    assert {a: (n, int(s)) for a, n, s in table if a == "acme"} == {"acme": (3, 33)}
    assert {a or "": n for a, n, _ in table} == {a: n for a, (n, _) in scores.items()}


def test_accounts_of_a_visitor_who_left_one(tap: TapRunner, warehouse: Warehouse) -> None:
    select = ("visitors", "visitor_accounts")
    first = tap.run(select=select)
    warehouse.load(first)
    visitor = next(
        v["visitor_id"]
        for v in first.records("visitors")
        if len(v["metadata"]["auto"].get("accountids") or ()) > 1 and "last_updated_at" in v
    )

    def leave(row: dict[str, t.Any]) -> dict[str, t.Any]:
        if row["visitorId"] != visitor:
            return row
        auto = row["metadata"]["auto"]
        now = tap.pendo.clock.now()
        auto = {**auto, "accountids": auto["accountids"][:1], "lastupdated": now}
        return {**row, "metadata": {**row["metadata"], "auto": auto}}

    tap.pendo.world.overrides.override("visitor", leave)
    tap.pendo.clock.advance(3600)
    warehouse.load(tap.run(select=select, state=first.state))
    warehouse.execute(statement(PAIRS, warehouse))
    quoted = visitor.replace("'", "''")
    pairs = f"select count(*) from {{}} where visitor_id = '{quoted}'"
    assert warehouse.rows(pairs.format("visitor_accounts")) > [(1,)]
    assert warehouse.rows(pairs.format("current_visitor_accounts")) == [(1,)]
    everybody = "select count(distinct visitor_id) from {}"
    assert warehouse.rows(everybody.format("current_visitor_accounts")) == warehouse.rows(
        everybody.format("visitor_accounts")
    )


def test_visitors_that_are_gone(tap: TapRunner, warehouse: Warehouse) -> None:
    warehouse.load(tap.run(select=("visitors",)))
    assert warehouse.rows(statement(DELETED, warehouse)) == []
    warehouse.execute(
        f"update {warehouse.schema}.visitors set read_at = '2026-01-01' where visitor_id = '0'"
    )
    assert warehouse.rows(statement(DELETED, warehouse)) == [("0",)]
