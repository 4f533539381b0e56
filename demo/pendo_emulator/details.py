"""Knows what Pendo answers about one visitor, account or report by its id."""

import base64
import binascii
import csv
import io
from typing import Any

import msgspec

from pendo_emulator.periods import DAY
from pendo_emulator.pipeline import run
from pendo_emulator.refusals import Refused
from pendo_emulator.reports import columns
from pendo_emulator.world import World

Row = dict[str, Any]

_OLDEST = 180 * DAY
_WITHOUT_RESULTS = ("funnel", "path", "retention", "data explorer", "workflow")


def decoded(key: str) -> str:
    """Return an id that came in base64, of either alphabet.

    Raises:
        Refused: 400 where it is none.
    """
    plain = key.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        padded = plain + "=" * (-len(plain) % 4)
        return base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Refused(400, "bad base64 in path") from error


def visitor(world: World, key: str) -> Row:
    """Return a visitor's detail: `id`, not visitorId, and metadata of `auto` that rows lack.

    Raises:
        Refused: 404 for an unknown one.
    """
    place = world.people.visitor(key)
    if place is None:
        raise Refused(404)
    person = world.people.visitors[place]
    row = world.alterations.row("visitor", person.row("visitorId", world.clock.now()))
    metadata = row["metadata"]
    detail: Row = {"id": key, "accountIds": list(person.accounts), "metadata": metadata}
    if "auto" in metadata:
        auto = metadata["auto"]
        detail["metadata"] = {
            **metadata,
            "auto": {**auto, "firstidentifiedvisit": auto["firstvisit"]},
        }
        detail["lastStartTime"] = auto["lastvisit"]
    if person.accounts:
        detail["account"] = {"id": person.accounts[0]}
    return detail


def account(world: World, key: str) -> Row:
    """Return an account's detail.

    Raises:
        Refused: 404 for an unknown one.
    """
    place = world.people.account(key)
    if place is None:
        raise Refused(404)
    row = world.people.accounts[place].row("accountId", world.clock.now())
    return {"id": key, "metadata": world.alterations.row("account", row)["metadata"]}


def visitor_history(world: World, key: str, start: str | None) -> list[Row]:
    """Return what a visitor did in the 24 hours from `start`, epoch milliseconds as text.

    Raises:
        Refused: 404 for an unknown visitor; 400 without a start; 422 or 400 if it is too old.
    """
    now = world.clock.now()
    if world.people.visitor(key) is None:
        raise Refused(404)
    if not start or not start.isdigit():
        raise Refused(400, "starttime must be epoch milliseconds")
    if int(start) < now - _OLDEST:
        raise Refused(world.knobs.old_history, '{"fields":{"starttime":"over 180 days ago"}}')
    return world.history(key, int(start), now)


def report_rows(world: World, key: str) -> list[Row]:
    """Return the rows of a public report's own pipeline.

    Raises:
        Refused: 404 for an unknown or private report, 400 for a type that has no results.
    """
    report = _report(world, key)
    pipeline = report["aggregation"]["pipeline"]
    body = msgspec.json.encode({"request": {"pipeline": pipeline}})
    return list(run(world, body).table.rows())


def report_csv(world: World, key: str) -> str:
    """Return the same with a line of names first; what is missing is empty, lists are JSON.

    Raises:
        Refused: as `report_rows`.
    """
    rows = report_rows(world, key)
    names = columns(_report(world, key))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict | bool) else value


def _report(world: World, key: str) -> Row:
    found = [one for one in world.listed("report", world.clock.now()) if one["id"] == key]
    if not found:
        raise Refused(404)
    kind = str(found[0].get("type", "")).lower()
    if "aggregation" not in found[0] or kind in _WITHOUT_RESULTS:
        raise Refused(400, f"results are not available for report type {kind}")
    return found[0]
