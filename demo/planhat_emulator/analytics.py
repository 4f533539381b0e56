"""Knows the paths of the analytics host: activities and metrics."""

from typing import Any

from planhat_emulator.answers import Answer, Call, as_json, in_form
from planhat_emulator.refusals import Refused
from planhat_emulator.tokens import Tokens
from planhat_emulator.world import World

SINGLE = "/analytics"
BULK = "/analytics/bulk"
METRICS = "/dimensiondata"
PATHS = (SINGLE, BULK, METRICS)
_PATHS = {("analytics",): SINGLE, ("analytics", "bulk"): BULK, ("dimensiondata",): METRICS}


def find(verb: str, parts: list[str]) -> tuple[str, str] | None:
    """Return path and tenant token of a request to the analytics host; None if there is none."""
    path = _PATHS.get(tuple(parts[:-1]))
    return (path, parts[-1]) if path and verb == "POST" else None


def is_sink(world: World, tokens: Tokens, call: Call, size: int) -> bool:
    """Return whether a request is answered with 200, and has no effect.

    Raises:
        Refused: where the tenant or the size of the body is refused.
    """
    unknown, too_large = world.knobs.unknown_tenant, world.knobs.too_large
    if call.key not in tokens.tenants:
        if unknown == "sink":
            return True
        raise Refused(unknown, "Not found" if unknown == 404 else "Unauthorized")  # noqa: PLR2004
    if size > world.knobs.max_body:
        if too_large == "sink":
            return True
        raise Refused(too_large, "request entity too large")
    return False


def answer(world: World, call: Call) -> Answer:
    """Store what a call brings, and answer it."""
    if call.path == METRICS:
        return _metrics(world, call)
    return _activities(world, call)


def sunk(world: World, call: Call) -> Answer:
    """Answer a call that has no effect, as if it had."""
    if call.path == METRICS:
        return as_json({"processed": 0, "errors": []})
    return _accepted(world, 0, [])


def _metrics(world: World, call: Call) -> Answer:
    items = call.body if isinstance(call.body, list) else [call.body]
    before = world.count("points")
    text, indices = call.spoilt
    errors = world.take_metrics(items, indices, text)
    stored = world.count("points") - before
    processed = len(items) if world.knobs.processed == "total" else stored
    return _told(world, processed, errors)


def _activities(world: World, call: Call) -> Answer:
    many, form = isinstance(call.body, list), world.knobs.wrong_form
    if many != (call.path == BULK) and form != "accept":
        if form == "sink":
            return sunk(world, call)
        raise Refused(400, "body must be an " + ("object" if many else "array"))
    items = call.body if many else [call.body]
    text, indices = call.spoilt
    dropped = world.take_activities(items, bulk=many, spoilt=indices, text=text)
    named = dropped if world.knobs.report_unmatched else [d for d in dropped if d[0] in indices]
    errors = [{"item": items[index], "error": reason} for index, reason in named]
    return _accepted(world, len(items), errors)


def _told(world: World, processed: int, errors: list[dict[str, Any]]) -> Answer:
    status = world.knobs.failed_items if errors else 200
    return as_json({"processed": processed, "errors": errors}, status)


def _accepted(world: World, processed: int, errors: list[dict[str, Any]]) -> Answer:
    form = world.knobs.activity_answer
    if form == "json":
        return _told(world, processed, errors)
    return in_form(200, "OK", "text") if form == "text" else Answer(200, b"", None)
