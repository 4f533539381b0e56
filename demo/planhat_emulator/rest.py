"""Knows the paths of the REST host: objects, lean companies, points read back."""

from typing import Any

from planhat_emulator.answers import Answer, Call, as_json
from planhat_emulator.metrics import Point
from planhat_emulator.refusals import Refused, Unusable
from planhat_emulator.store import MODELS, Thing
from planhat_emulator.world import World, day

LEAN = "/leancompanies"
POINTS = "/dimensiondata"
_LEAN_FIELDS = ("_id", "name", "externalId", "sourceId", "slug")
_LIMIT, _MOST, _MOST_COMPANIES, _MOST_POINTS = 100, 2000, 5000, 10_000
_VERBS = {False: ("GET", "POST", "PUT"), True: ("GET", "PUT", "DELETE")}


def find(verb: str, parts: list[str]) -> tuple[str, str] | None:
    """Return path and id of a request to the REST host; None if there is none.

    An empty id is no id: such a path is the list's.
    """
    named = [part for part in parts if part]
    path, key = "/" + "".join(named[:1]), "".join(named[1:2])
    if path in (LEAN, POINTS):
        return (path, "") if verb == "GET" and not key else None
    known = path[1:] in MODELS and len(named) <= 2 and verb in _VERBS[bool(key)]  # noqa: PLR2004
    return (path + "/{id}" if key else path, key) if known else None


def model_of(path: str) -> str:
    """Return the path of the model that a call's path is about."""
    name = path.split("/")[1]
    return "companies" if path == LEAN else name


def answer(world: World, call: Call) -> Answer:
    """Answer a call.

    Raises:
        Refused: where Planhat refuses it.
    """
    model = model_of(call.path)
    if call.token and model in call.token.denied:
        if call.verb == "PUT" and not call.key and isinstance(call.body, list):
            return as_json(world.upserts.forbidden(call.body), 403)
        raise Refused(403, "permission denied")
    if call.path == LEAN:
        return as_json(_lean(world, call.query))
    if call.path == POINTS:
        return as_json(_points(world, call.query))
    if call.verb == "GET" and not call.key:
        return as_json(_listed(world, model, call.query))
    if call.verb == "PUT" and not call.key:
        return _bulk(world, model, call)
    try:
        return _one(world, model, call)
    except Unusable as reason:
        raise Refused(400, str(reason)) from None


def _one(world: World, model: str, call: Call) -> Answer:
    """Answer a call about one object."""
    if call.verb in ("POST", "PUT") and not isinstance(call.body, dict):
        raise Refused(400, "body must be an object")
    if call.verb == "POST":
        made = world.upserts.create(model, call.body)
        return as_json(world.store.shown(made), world.knobs.created_status)
    thing = world.store.named(model, call.key)
    if call.verb == "DELETE":
        if thing:
            world.store.tables[model].remove(thing)
        return as_json({"n": int(bool(thing)), "ok": 1, "deletedCount": int(bool(thing))})
    if thing is None:
        raise Refused(404, "Not found")
    if call.verb == "PUT":
        if "_id" in call.body and world.knobs.id_in_update == "refuse":
            raise Refused(400, "_id must not be in the body")
        thing = world.upserts.update(model, thing, call.body)
    return as_json(world.store.shown(thing))


def _bulk(world: World, model: str, call: Call) -> Answer:
    if not isinstance(call.body, list):
        raise Refused(400, "body must be an array")
    if len(call.body) > world.knobs.max_items:
        raise Refused(world.knobs.too_many_items, f"more than {world.knobs.max_items} items")
    text, indices = call.spoilt
    status, body = world.upserts.bulk(model, call.body, indices, text)
    return as_json(body, status)


def _listed(world: World, model: str, query: dict[str, str]) -> list[Thing]:
    """Return a page of a list; filters that are unknown are ignored."""
    table = world.store.tables[model]
    email = query.get("email")
    if model == "endusers" and email:
        things = list(table.find("email", email))
    elif model not in ("companies", "users") and query.get("companyId"):
        named = [world.store.named("companies", one) for one in query["companyId"].split(",")]
        things = table.of_companies(one["_id"] for one in named if one)
    elif query.get("sort"):
        things = table.sorted(query["sort"])
    else:
        things = list(table.things.values())
    most = _MOST_COMPANIES if model == "companies" else _MOST
    page = _page(world, things, query, _LIMIT, most)
    wanted = [name for name in query.get("select", "").split(",") if name]
    return [_selected(world.store.shown(thing), wanted) for thing in page]


def _selected(thing: Thing, wanted: list[str]) -> Thing:
    if not wanted:
        return thing
    return {name: thing[name] for name in ("_id", *wanted) if name in thing}


def _page(world: World, rows: list[Any], query: dict[str, str], limit: int, most: int) -> list[Any]:
    asked = _number(query, "limit", limit)
    if asked > most and world.knobs.over_limit == "refuse":
        raise Refused(400, f"limit must not be above {most}")
    first = _number(query, "offset", 0)
    return rows[first : first + min(asked, most)]


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default


def _lean(world: World, query: dict[str, str]) -> list[Thing]:
    table = world.store.tables["companies"]
    asked = {name: query[name] for name in ("externalId", "sourceId") if query.get(name)}
    found = list(table.things.values())
    for position, (name, value) in enumerate(asked.items()):
        matching = table.find(name, value)
        found = [one for one in found if one in matching] if position else list(matching)
    if query.get("status"):
        found = [one for one in found if one.get("status") in query["status"].split(",")]
    return [{name: one[name] for name in _LEAN_FIELDS if name in one} for one in found]


def _points(world: World, query: dict[str, str]) -> list[Thing]:
    """Return points: `cId` is a company's _id, `from` and `to` are days since 1970."""
    missing = [name for name in ("from", "to") if not query.get(name)]
    if missing and world.knobs.read_back_needs_range:
        raise Refused(400, f"{','.join(missing)} must be specified")
    first, last = _number(query, "from", 0), _number(query, "to", 1 << 40)
    company = query.get("cId") or query.get("cid")
    found = [
        one
        for one in world.points(query.get("dimid") or None, company_id=company or None)
        if first <= one.day <= last
        and (one.model == "Company" or not company or world.knobs.read_back == "all")
    ]
    page = _page(world, found, query, _LIMIT, _MOST_POINTS)
    return [_shown_point(world, one) for one in page]


def _shown_point(world: World, point: Point) -> Thing:
    company = world.store.named("companies", point.company_id) or {}
    return {
        # an ObjectId that embeds the midnight, as Planhat's do
        "_id": f"{point.day * 86_400:08x}{point.number:016x}",
        "dimensionId": point.dimension_id,
        "time": f"{day(point.day)}T00:00:00.000Z",
        "value": point.value,
        "model": point.model,
        "parentId": point.of["_id"],
        "companyId": point.company_id,
        "companyName": company.get("name"),
    }
