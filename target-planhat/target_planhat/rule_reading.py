"""The user's rules read: their defaults, and what contradicts itself or the streams."""

from __future__ import annotations

import collections
import re
import typing as t

from target_planhat.actions import TemplateError, action
from target_planhat.rules import Match, Rule
from target_planhat.streams import (
    ACCOUNT,
    EVENT_STREAMS,
    OTHER_STREAMS,
    READ_AT,
    VISITOR,
    WINDOW_START,
)
from target_planhat.values import text

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from target_planhat.rules import Combine, Kind, Model, Of
    from target_planhat.streams import EventStream

Raw = dict[str, t.Any]
SETTINGS: dict[Kind, str] = {"activity": "activities", "metric": "metrics"}
# what happens if no rule is given at all
DEFAULT: Raw = {"stream": "feature_events"}
_WANTED: dict[Of, str] = {"visitor": VISITOR, "account": ACCOUNT}
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]{0,62}")


class RuleError(ValueError):
    """What is wrong with a rule: its field, and what is allowed."""


def raw_rules(config: Mapping[str, t.Any], kind: Kind) -> list[Raw]:
    """Give the rules of a kind as configured; without any rules at all, the default one."""
    if all(config.get(setting) is None for setting in SETTINGS.values()):
        return [DEFAULT] if kind == "activity" else []
    return list(config.get(SETTINGS[kind]) or ())


def read(config: Mapping[str, t.Any]) -> tuple[list[Rule], list[str]]:
    """Read the rules of a configuration that fits the schema, and say what is wrong with them."""
    rules: dict[str, Rule] = {}
    lines: list[str] = []
    for kind, setting in SETTINGS.items():
        raws = raw_rules(config, kind)
        streams = collections.Counter(raw["stream"] for raw in raws)
        for at, raw in enumerate(raws):
            place = f"setting `{setting}.{at}`"
            try:
                rules[place] = _rule(kind, raw, alone=streams[raw["stream"]] == 1)
            except RuleError as error:
                lines.append(f"{place}{_called(raw)}: {error}")
    return list(rules.values()), [*lines, *_clashes(rules)]


def _called(raw: Raw) -> str:
    return f" (rule {raw['name']})" if "name" in raw else ""


def _clashes(rules: Mapping[str, Rule]) -> Iterable[str]:
    """Find two metrics that would be one in Planhat, and two rules of one name."""
    metrics: dict[tuple[str, str], str] = {}
    names: dict[str, str] = {}
    for place, rule in rules.items():
        metric = metrics.setdefault((rule.model, rule.dimension_id or place), place)
        first = names.setdefault(rule.name, place)
        if metric != place:
            yield (
                f"{place} (rule {rule.name}): `dimension_id` is that of {metric} (rule "
                f"{rules[metric].name}), {rule.dimension_id} of {rule.model}, as all but letters, "
                "digits and _ becomes _; allowed is another"
            )
        elif first != place:
            yield f"{place}: `name` {rule.name} is that of {first}; allowed is another"


def _rule(kind: Kind, raw: Raw, *, alone: bool) -> Rule:
    stream = _stream(raw["stream"])
    shared: Raw = {
        "kind": kind,
        "stream": raw["stream"],
        "only": _only(raw, stream),
        "where": {
            _known(stream, name, "where"): frozenset(map(text, values))
            for name, values in raw.get("where", {}).items()
        },
    }
    if kind == "activity":
        return _activity(raw, stream, shared, alone=alone)
    return _metric(raw, stream, shared)


def _stream(name: str) -> EventStream | None:
    """Find an event stream; None is an aggregation."""
    stream = EVENT_STREAMS.get(name)
    if stream is None and name in OTHER_STREAMS:
        known = ", ".join(EVENT_STREAMS)
        raise RuleError(
            f"`stream` is {_shown(name)}: known are {known}, and the names of aggregations"
        )
    return stream


def _shown(name: str) -> str:
    """Show a name; what does not look like one may be a secret."""
    return f"`{name}`" if _IDENTIFIER.fullmatch(name) else "no name"


def _known(stream: EventStream | None, name: str, key: str) -> str:
    """Require that the row has the field; of an aggregation that is not known yet."""
    if stream is not None and name.partition(".")[0] not in stream.fields:
        known = ", ".join(stream.fields)
        raise RuleError(f"`{key}` names the field {_shown(name)}: {stream.name} has {known}")
    return name


def _only(raw: Raw, stream: EventStream | None) -> frozenset[str]:
    if "only" not in raw:
        return frozenset()
    if stream is None or stream.entity is None:
        able = ", ".join(one.name for one in EVENT_STREAMS.values() if one.entity)
        raise RuleError(f"`only` needs a stream of features, pages, …: allowed with {able}")
    if not raw["only"]:
        raise RuleError("`only` is empty: allowed are ids, or no `only` for all")
    return frozenset(map(text, raw["only"]))


def _match(raw: Raw, stream: EventStream | None, model: Model, default: str | None) -> Match:
    given = raw.get("match", {})
    field, by = given.get("field", default), given.get("by", "externalId")
    if field is None:
        raise RuleError(f"`match.field` is missing: with `model: {model}` it is required")
    if by == "email" and model != "EndUser":
        raise RuleError("`match.by` is `email`: for this model allowed are externalId, sourceId")
    of, _, path = field.partition(".")
    if of in _WANTED and path:
        if stream is not None and _WANTED[of] not in stream.fields:
            raise RuleError(f"`match.field` leads to an {of}, but {stream.name} has no {of}_id")
        return Match(of, tuple(path.split(".")), by)
    return Match("row", tuple(_known(stream, field, "match.field").split(".")), by)


def _number(stream: EventStream | None, name: str, key: str) -> str:
    """Require a field whose values can be added up."""
    if stream is not None and _known(stream, name, key) not in stream.numbers:
        known = ", ".join(stream.numbers) or "none"
        raise RuleError(
            f"`{key}` names the field {_shown(name)}: numbers of {stream.name} are {known}"
        )
    return name


def _activity(raw: Raw, stream: EventStream | None, shared: Raw, *, alone: bool) -> Rule:
    name: str = raw["stream"]
    if "name" not in raw and not alone:
        raise RuleError(f"`name` is required, as there are several rules for {name}")
    usual = f"{{{stream.placeholder}}}" if stream and stream.placeholder else None
    template = raw.get("action") or usual
    if stream is None and not (template and "count" in raw):
        raise RuleError(
            f"`stream` is {_shown(name)}: known are {', '.join(EVENT_STREAMS)}, and the names of "
            "aggregations, for which `action` and `count` (a field) are required"
        )
    if template is None:
        raise RuleError(f"`action` is required for {name}: a text, perhaps with placeholders")
    try:
        named = action(template, stream).fields
    except TemplateError as error:
        raise RuleError(f"`action` {error}") from None
    has_account = stream is not None and ACCOUNT in stream.fields
    company = raw.get("company", ACCOUNT if has_account else None)
    count = stream.count if stream else None
    return Rule(
        **shared,
        name=raw.get("name") or name,
        match=_match(raw, stream, "EndUser", VISITOR),
        model="EndUser",
        granularity=raw.get("granularity", "day"),
        combine="sum",
        value=_number(stream, raw["count"], "count") if "count" in raw else count,
        date=None if stream else WINDOW_START,
        action=template,
        named=named,
        company=company and _known(stream, company, "company"),
        weight=float(raw.get("weight", 1)),
        info={key: _known(stream, field, "info") for key, field in raw.get("info", {}).items()},
    )


def _metric(raw: Raw, stream: EventStream | None, shared: Raw) -> Rule:
    model: Model = raw.get("model", "Company")
    dimension_id = _dimension_id(raw)
    combine, value = _combined(raw, stream)
    default = {"Company": ACCOUNT, "EndUser": VISITOR}.get(model)
    return Rule(
        **shared,
        name=raw.get("name", dimension_id),
        match=_match(raw, stream, model, default),
        model=model,
        granularity="day",
        combine=combine,
        value=value,
        date=_date(raw, stream),
        dimension_id=dimension_id,
        on_change=raw.get("on_change", "delta" if combine in {"sum", "count"} else "report"),
    )


def sanitised(dimension_id: str) -> str:
    """Make an id of what Planhat documents: letters, digits and _ (planhat-api.md §3.1)."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", dimension_id)


def _dimension_id(raw: Raw) -> str:
    given: str = raw["dimension_id"]
    if raw.get("dimension_id_as_is"):
        if not given.isprintable() or given != given.strip():
            raise RuleError(
                "`dimension_id`: allowed are printable characters, no space at the ends"
            )
        return given
    found = sanitised(given)
    if not re.search(r"[A-Za-z0-9]", found):
        raise RuleError("`dimension_id` has nothing usable: allowed are letters, digits and _")
    return found


def _combined(raw: Raw, stream: EventStream | None) -> tuple[Combine, str | None]:
    """How values of one object and day become one, and whose values."""
    default: Combine | None = "sum" if stream is not None else "value" if "value" in raw else None
    combine: Combine | None = raw.get("aggregate", default)
    if combine is None:
        raise RuleError("`value` is required: a field; or `aggregate: count`, which counts rows")
    if combine == "count":
        if "value" in raw:
            raise RuleError("`value` and `aggregate: count` exclude each other: rows are counted")
        return combine, None
    if stream is None:
        if "value" not in raw:
            raise RuleError(f"`value` is required with `aggregate: {combine}`: a field")
        return combine, raw["value"]
    if combine in {"max", "last"}:
        raise RuleError(
            f"`aggregate` is {combine}: for rows of {stream.name}, which are parts of a day, "
            "allowed are sum, count; an aggregation with `grain: day` can give one value a day"
        )
    return combine, _number(stream, raw["value"], "value") if "value" in raw else stream.count


def _date(raw: Raw, stream: EventStream | None) -> str | None:
    if stream is None:
        return str(raw.get("date", WINDOW_START))
    if raw.get("date", stream.times[0]) not in stream.times:
        known = ", ".join(stream.times)
        raise RuleError(f"`date` of {stream.name} is when it happened: allowed is {known}")
    return None


def missing_fields(rule: Rule, properties: Collection[str]) -> list[str]:
    """Name the fields that a rule needs and a stream, by its SCHEMA message, lacks."""
    stream = EVENT_STREAMS.get(rule.stream)
    match = rule.match
    names = (*rule.where, *rule.info.values(), rule.value or "", rule.company or "")
    wanted = {
        match.path[0] if match.of == "row" else _WANTED[match.of],
        rule.date or "",
        *(name.partition(".")[0] for name in names),
        *rule.named,
    } - {"", READ_AT}
    if stream is not None:
        if rule.only and stream.entity:
            wanted.add(stream.entity)
        if not any(name in properties for name in stream.times):
            wanted.update(stream.times)
    return sorted(wanted.difference(properties))
