"""Knows which GET path answers what: definitions, single objects, and other lists."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pendo_emulator import details, shapeless
from pendo_emulator.definitions import DEFAULT_APP
from pendo_emulator.refusals import Refused
from pendo_emulator.world import World

_ROOT = "/api/v1/"
_SCHEMAS = {
    "account": "account",
    "visitor": "visitor",
    "parentAccount": "parentAccount",
    "AccountMetadata": "account",
    "VisitorMetadata": "visitor",
}
_LISTED = ("page", "feature", "tracktype", "guide", "report")


@dataclass(frozen=True)
class Csv:
    """An answer that is not JSON."""

    text: str


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
                names["id"] = details.decoded(names["id"])
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


def _segment(asked: Asked) -> dict[str, Any]:
    for one in asked.world.listed("segment", asked.world.clock.now()):
        if one["id"] == asked.id:
            return one
    raise Refused(404)


def _shapeless(rows: Callable[[Asked], list[dict[str, Any]]], name: str) -> _Answer:
    """Return the answer of a list that comes in the form of the knob `unknown_shapes`."""
    return lambda asked: shapeless.shaped(rows(asked), name, asked.world.knobs.unknown_shapes)


def _schema(asked: Asked) -> Any:
    kind = _SCHEMAS.get(asked.names["kind"])
    if kind is None:
        raise Refused(404)
    if kind == "parentAccount" and asked.world.knobs.parent_accounts == "absent":
        raise Refused(404)
    return asked.world.metadata_schema(kind)


def _guide_history(asked: Asked) -> list[dict[str, Any]]:
    since = asked.query.get("starttime", "0")
    if not since.isdigit():
        raise Refused(400, "starttime must be epoch milliseconds")
    for guide in asked.world.listed("guide", asked.world.clock.now()):
        if guide["id"] == asked.id:
            return shapeless.guide_history(guide, int(since))
    raise Refused(404)


def _excluded(asked: Asked) -> list[dict[str, Any]]:
    kind = asked.names["type"]
    if kind not in shapeless.EXCLUDED_TYPES:
        raise Refused(400, "unknown type")
    return [row for row in shapeless.exclude_list(asked.world) if row["type"] == kind]


def _server(asked: Asked) -> dict[str, Any]:
    for row in shapeless.server_names(asked.world):
        if row["name"] == asked.names["name"]:
            return row
    raise Refused(404)


def _flagged(asked: Asked) -> list[dict[str, Any]]:
    rows = shapeless.server_names(asked.world)
    return [row for row in rows if row.get("flag") == asked.names["flag"]]


def _feedback(asked: Asked) -> list[dict[str, Any]]:
    if asked.world.knobs.feedback == "not_included":
        raise Refused(403)
    return shapeless.feedback_options()


def _users_of(asked: Asked) -> list[dict[str, Any]]:
    rows = shapeless.dependencies(asked.world)
    wanted = asked.names.items()
    return next((row["dependencies"] for row in rows if wanted <= row.items()), [])


_LISTS: dict[str, _Answer] = {
    **{kind: _listed(kind) for kind in _LISTED},
    "segment": _segments,
    "guide/order": _shapeless(lambda asked: shapeless.guide_order(asked.world), "guideId"),
    "guide/{id}/history": _shapeless(_guide_history, "versionId"),
    "report/{id}/results.json": lambda asked: details.report_rows(asked.world, asked.id),
    "metadata/dependencies": _shapeless(lambda asked: shapeless.dependencies(asked.world), "id"),
    "visitor/{id}/history": lambda asked: details.visitor_history(
        asked.world, asked.id, asked.query.get("starttime")
    ),
    "blacklist": _shapeless(lambda asked: shapeless.exclude_list(asked.world), "value"),
    "servername": _shapeless(lambda asked: shapeless.server_names(asked.world), "name"),
    "feedback/options": _shapeless(_feedback, "name"),
    "bulkdelete": _shapeless(lambda _asked: shapeless.deletion_jobs(), "id"),
}
_ROUTES: dict[str, _Answer] = {
    **_LISTS,
    "segment/{id}": _segment,
    "report/{id}/results.csv": lambda asked: Csv(details.report_csv(asked.world, asked.id)),
    "metadata/schema/{kind}": _schema,
    "metadata/dependencies/{kind}/{group}/{field}": _shapeless(_users_of, "id"),
    "visitor/{id}": lambda asked: details.visitor(asked.world, asked.id),
    "account/{id}": lambda asked: details.account(asked.world, asked.id),
    "blacklist/type/{type}": _shapeless(_excluded, "value"),
    "servername/{name}": _server,
    "servername/flag/{flag}": _shapeless(_flagged, "name"),
}
LISTS = tuple(_ROOT + template for template in _LISTS)  # as faults and counts name them
