"""GET paths: definitions, lists, reports and a visitor's history."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from pendo_emulator.access import Refused
from pendo_emulator.pipeline.request import run
from pendo_emulator.product.calendar import DAY
from pendo_emulator.product.definitions import BEGINNING, DEFAULT_APP
from pendo_emulator.product.random_values import TEXTS, identifier
from pendo_emulator.world import World

Row = dict[str, Any]

_OLDEST = 180 * DAY
_WITHOUT_RESULTS = ("funnel", "path", "retention", "data explorer", "workflow")


def _decoded(key: str) -> str:
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


def _visitor_history(world: World, key: str, start: str | None) -> list[Row]:
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


def _report_rows(world: World, key: str) -> list[Row]:
    """Return the rows of a public report's own pipeline.

    Raises:
        Refused: 404 for an unknown or private report, 400 for a type that has no results.
    """
    report = _report(world, key)
    pipeline = report["aggregation"]["pipeline"]
    body = msgspec.json.encode({"request": {"pipeline": pipeline}})
    return list(run(world, body).table.rows())


def _report(world: World, key: str) -> Row:
    found = [one for one in world.listed("report", world.clock.now()) if one["id"] == key]
    if not found:
        raise Refused(404)
    kind = str(found[0].get("type", "")).lower()
    if "aggregation" not in found[0] or kind in _WITHOUT_RESULTS:
        raise Refused(400, f"results are not available for report type {kind}")
    return found[0]


_ROOT = "/api/v1/"
_SCHEMAS = {
    "account": "account",
    "visitor": "visitor",
    "parentAccount": "parentAccount",
    "AccountMetadata": "account",
    "VisitorMetadata": "visitor",
}
# what the lists that nobody has described answer
_UNDESCRIBED: tuple[Row, ...] = (
    {"id": identifier("undescribed", 0), "type": "visitor", "value": 'odd "name"/path'},
    {"id": identifier("undescribed", 1), "status": "failed", "error": TEXTS[1], "count": 0},
    {"id": identifier("undescribed", 2), "createdAt": BEGINNING, "items": [{"id": "4711"}]},
)
_LISTED = ("page", "feature", "tracktype", "guide", "report")


@dataclass(frozen=True)
class Asked:
    """A request that found its path: the query, and what stood for the names in braces."""

    world: World
    query: Mapping[str, str]
    names: Mapping[str, str]

    @property
    def id(self) -> str:
        """The id in the path."""
        return self.names["id"]


_Answer = Callable[[Asked], Any]
# the path's template, its answer, and what stood for the names in braces
Found = tuple[str, _Answer, dict[str, str]]


def find(raw_path: str, *, encoded: bool) -> Found | None:
    """Return what is known of a path; None for an unknown one.

    `raw_path` is percent-encoded, for ids may hold slashes; `encoded` says that the ids of
    visitors and accounts are in base64 besides.

    Raises:
        Refused: 400 where they are not.
    """
    parts = raw_path.removeprefix(_ROOT).split("/")
    for template, answer in _ROUTES.items():
        wanted = template.split("/")
        if len(wanted) != len(parts):
            continue
        pairs = list(zip(wanted, map(unquote, parts), strict=True))
        if all(part and (name == part or name[0] == "{") for name, part in pairs):
            names = {name[1:-1]: part for name, part in pairs if name[0] == "{"}
            if encoded and parts[0] in ("visitor", "account"):
                names["id"] = _decoded(names["id"])
            return _ROOT + template, answer, names
    return None


def _listed(kind: str) -> _Answer:
    """Return the answer of a list of definitions: the default app's without expand."""

    def answer(asked: Asked) -> Any:
        world, query = asked.world, asked.query
        found = world.listed(kind, world.clock.now())
        if "appId" in query or query.get("expand") != "*":
            app = query.get("appId", str(DEFAULT_APP))
            found = [one for one in found if str(one.get("appId", DEFAULT_APP)) == app]
        if "id" in query:
            ids = set(query["id"].split(","))
            found = [one for one in found if one["id"] in ids]
        if kind == "guide" and "state" in query:
            found = [one for one in found if one["state"] == query["state"]]
        return found

    return answer


def _segments(asked: Asked) -> list[dict[str, Any]]:
    found = asked.world.listed("segment", asked.world.clock.now())
    if asked.query.get("createdByApi") == "true":
        found = [one for one in found if one.get("createdByApi")]
    return found


def _schema(asked: Asked) -> Any:
    kind = _SCHEMAS.get(asked.names["kind"])
    if kind is None:
        raise Refused(404)
    if kind == "parentAccount" and asked.world.knobs.parent_accounts == "absent":
        raise Refused(404)
    return asked.world.metadata_schema(kind)


def _undescribed(asked: Asked) -> Any:
    """Return the same rows for each such list, in the form of the knob `unknown_shapes`."""
    shape = asked.world.knobs.unknown_shapes
    if shape == "strings":
        return [row["id"] for row in _UNDESCRIBED]
    if shape == "object":
        return {row["id"]: {k: row[k] for k in row if k != "id"} for row in _UNDESCRIBED}
    return list(_UNDESCRIBED)


def _feedback(asked: Asked) -> Any:
    if asked.world.knobs.feedback == "not_included":
        raise Refused(403)
    return _undescribed(asked)


_LISTS: dict[str, _Answer] = {
    **{kind: _listed(kind) for kind in _LISTED},
    "segment": _segments,
    "guide/order": _undescribed,
    "guide/{id}/history": _undescribed,
    "report/{id}/results.json": lambda asked: _report_rows(asked.world, asked.id),
    "metadata/dependencies": _undescribed,
    "visitor/{id}/history": lambda asked: _visitor_history(
        asked.world, asked.id, asked.query.get("starttime")
    ),
    "blacklist": _undescribed,
    "servername": _undescribed,
    "feedback/options": _feedback,
    "bulkdelete": _undescribed,
}
_ROUTES: dict[str, _Answer] = {**_LISTS, "metadata/schema/{kind}": _schema}
LISTS = tuple(_ROOT + template for template in _LISTS)  # as faults and counts name them
