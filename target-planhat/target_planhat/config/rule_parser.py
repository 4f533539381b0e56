"""Reads the user's rules: their defaults, and what contradicts itself or the streams."""

from __future__ import annotations

import re
import string
import typing as t

from target_planhat.config.pendo_streams import (
    ACCOUNT,
    EVENT_STREAMS,
    NAMES,
    OTHER_STREAMS,
    READ_AT,
    VISITOR,
    WINDOW_START,
)
from target_planhat.rule_model import ADDITIVE, ActionTemplate, Match, Rule
from target_planhat.value_parsing import ValueProblem, label, text, written_date

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from target_planhat.config.pendo_streams import EventStream
    from target_planhat.rule_model import Combine, Kind, Model, Of

Raw = dict[str, t.Any]
SETTINGS: dict[Kind, str] = {"activity": "activities", "metric": "metrics"}
# the rule of a configuration without rules
DEFAULT: Raw = {"stream": "feature_events"}
_ID_FIELDS: dict[Of, str] = {"visitor": VISITOR, "account": ACCOUNT}
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]{0,62}")


class RuleError(ValueError):
    """A faulty rule: which key, and what it must be."""


def raw_rules(config: Mapping[str, t.Any], kind: Kind) -> list[Raw]:
    """Return the rules of a kind as configured; without any rules, the default one."""
    if all(config.get(setting) is None for setting in SETTINGS.values()):
        return [DEFAULT] if kind == "activity" else []
    return list(config.get(SETTINGS[kind]) or ())


def read(config: Mapping[str, t.Any]) -> tuple[list[Rule], list[str]]:
    """Return the rules of a configuration that fits the schema, and a line for each problem."""
    rules: dict[str, Rule] = {}
    lines: list[str] = []
    for kind, setting in SETTINGS.items():
        raws = raw_rules(config, kind)
        unnamed: set[str] = set()
        for at, raw in enumerate(raws):
            place = f"setting `{setting}.{at}`"
            first = raw["stream"] not in unnamed
            if "name" not in raw:
                unnamed.add(raw["stream"])
            try:
                rules[place] = _rule(kind, raw, first=first)
            except RuleError as error:
                lines.append(f"{place}{_called(raw)}: {error}")
    return list(rules.values()), [*lines, *_clashes(rules)]


def _called(raw: Raw) -> str:
    return f" (rule {raw['name']})" if "name" in raw else ""


def _clashes(rules: Mapping[str, Rule]) -> Iterable[str]:
    """Find two metrics that would be one in Planhat, two rules of one name, or of one content."""
    metrics: dict[tuple[str, str], str] = {}
    names: dict[str, str] = {}
    contents: dict[str, str] = {}
    for place, rule in rules.items():
        content = repr((rule.fingerprint(""), rule.selection()))
        same = contents.setdefault(content, place)
        metric = metrics.setdefault((rule.model, rule.dimension_id or place), place)
        first = names.setdefault(rule.name, place)
        if metric != place:
            yield (
                f"{place} (rule {rule.name}): `dimension_id` is that of {metric} (rule "
                f"{rules[metric].name}), {rule.dimension_id} of {rule.model}, as all but letters, "
                "digits and _ becomes _; choose another one"
            )
        elif first != place:
            yield f"{place}: `name` {rule.name} is that of {first}; choose another one"
        elif same != place:
            yield (
                f"{place} (rule {rule.name}): it sends the same as {same} (rule "
                f"{rules[same].name}), and all would count twice: remove one of them, or change "
                "`only`, `where` or `action`"
            )


def _rule(kind: Kind, raw: Raw, *, first: bool) -> Rule:
    stream = _stream(raw["stream"])
    shared: Raw = {
        "kind": kind,
        "stream": raw["stream"],
        "only": _only(raw, stream),
        "where": {
            _known(stream, name, "where"): _texts(values, f"where.{_quoted(name).strip('`')}")
            for name, values in raw.get("where", {}).items()
        },
        "since": _since(raw),
    }
    if kind == "activity":
        return _activity(raw, stream, shared, first=first)
    return _metric(raw, stream, shared)


def _stream(name: str) -> EventStream | None:
    """Find an event stream; None is an aggregation."""
    stream = EVENT_STREAMS.get(name)
    if stream is None and name in OTHER_STREAMS:
        known = ", ".join(EVENT_STREAMS)
        raise RuleError(
            f"`stream` is {_quoted(name)}; must be one of {known}, or an aggregation's name"
        )
    return stream


def _quoted(name: str) -> str:
    """Return a name in backticks; what does not look like a name may be a secret."""
    return f"`{name}`" if _IDENTIFIER.fullmatch(name) else "not a name"


def _known(stream: EventStream | None, name: str, key: str) -> str:
    """Require that the row has the field; the fields of an aggregation are not known yet."""
    if stream is not None and name.partition(".")[0] not in stream.fields:
        known = ", ".join(stream.fields)
        raise RuleError(f"`{key}` names the field {_quoted(name)}; {stream.name} has {known}")
    return name


def _only(raw: Raw, stream: EventStream | None) -> frozenset[str]:
    if "only" not in raw:
        return frozenset()
    if stream is None or stream.entity is None:
        able = ", ".join(one.name for one in EVENT_STREAMS.values() if one.entity)
        raise RuleError(f"`only` needs a stream of features, pages, …; it works with {able}")
    if not raw["only"]:
        raise RuleError("`only` must not be empty: list ids, or leave it out for all")
    return _texts(raw["only"], "only")


def _texts(values: Iterable[t.Any], key: str) -> frozenset[str]:
    """Read values as the texts that rows are compared with."""
    try:
        return frozenset(map(text, values))
    except ValueProblem as problem:
        raise RuleError(f"a value of `{key}` {problem}") from None


def _since(raw: Raw) -> int | None:
    if "since" not in raw:
        return None
    try:
        return label(written_date(raw["since"]))
    except ValueError:
        raise RuleError(
            "`since` must be a date of the years 2000 to 2099, such as 2026-01-31"
        ) from None


def _match(raw: Raw, stream: EventStream | None, model: Model, default: str | None) -> Match:
    match = raw.get("match", {})
    field, by = match.get("field", default), match.get("by", "externalId")
    if field is None:
        raise RuleError(f"`match.field` is missing: with `model: {model}` it is required")
    if by == "email" and model != "EndUser":
        raise RuleError("`match.by` is `email`; for this model it must be externalId or sourceId")
    of, _, path = field.partition(".")
    if of in _ID_FIELDS and path:
        if stream is not None and _ID_FIELDS[of] not in stream.fields:
            raise RuleError(f"`match.field` leads to an {of}, but {stream.name} has no {of}_id")
        return Match(of, tuple(path.split(".")), by)
    return Match("row", tuple(_known(stream, field, "match.field").split(".")), by)


def _number(stream: EventStream | None, name: str, key: str) -> str:
    """Require a field whose values can be added up."""
    if stream is not None and _known(stream, name, key) not in stream.numbers:
        known = ", ".join(stream.numbers) or "none"
        raise RuleError(
            f"`{key}` names the field {_quoted(name)}; numbers of {stream.name} are {known}"
        )
    return name


def _activity(raw: Raw, stream: EventStream | None, shared: Raw, *, first: bool) -> Rule:
    name: str = raw["stream"]
    if "name" not in raw and not first:
        raise RuleError(f"`name` is required, as another rule for {name} has none")
    usual = f"{{{stream.placeholder}}}" if stream and stream.placeholder else None
    template = raw.get("action") or usual
    if stream is None and not (template and "count" in raw):
        raise RuleError(
            f"`stream` is {_quoted(name)}; must be one of {', '.join(EVENT_STREAMS)}, or an "
            "aggregation's name, for which `action` and `count` (a field) are required"
        )
    if template is None:
        raise RuleError(f"`action` is required for {name}: a text, perhaps with placeholders")
    try:
        name_template = action(template, stream)
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
        template=name_template,
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
        on_change=raw.get("on_change", "delta" if combine in ADDITIVE else "report"),
    )


def sanitised(dimension_id: str) -> str:
    """Return an id of the characters that Planhat documents: letters, digits and _."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", dimension_id)


def _dimension_id(raw: Raw) -> str:
    dimension_id: str = raw["dimension_id"]
    if raw.get("dimension_id_as_is"):
        if not dimension_id.isprintable() or dimension_id != dimension_id.strip():
            raise RuleError(
                "`dimension_id` must be printable characters, without spaces at its ends"
            )
        return dimension_id
    found = sanitised(dimension_id)
    if not re.search(r"[A-Za-z0-9]", found):
        raise RuleError(
            "`dimension_id` must have letters or digits; all but letters, digits and _ becomes _"
        )
    return found


def _combined(raw: Raw, stream: EventStream | None) -> tuple[Combine, str | None]:
    """Return how values of one object and day become one, and which field has them."""
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
            "it must be sum or count; an aggregation with `grain: day` can give one value a day"
        )
    return combine, _number(stream, raw["value"], "value") if "value" in raw else stream.count


def _date(raw: Raw, stream: EventStream | None) -> str | None:
    if stream is None:
        return str(raw.get("date", WINDOW_START))
    if raw.get("date", stream.times[0]) not in stream.times:
        known = ", ".join(stream.times)
        raise RuleError(f"`date` of {stream.name} is when it happened; it must be {known}")
    return None


def missing_fields(rule: Rule, properties: Collection[str]) -> list[str]:
    """Return the fields that a rule needs and a stream, by its SCHEMA message, lacks."""
    stream = EVENT_STREAMS.get(rule.stream)
    match = rule.match
    names = (*rule.where, *rule.info.values(), rule.value or "", rule.company or "")
    needed = {
        match.path[0] if match.of == "row" else _ID_FIELDS[match.of],
        rule.date or "",
        *(name.partition(".")[0] for name in names),
        *rule.named,
    } - {"", READ_AT}
    if stream is not None:
        if rule.only and stream.entity:
            needed.add(stream.entity)
        if not any(name in properties for name in stream.times):
            needed.update(stream.times)
    return sorted(needed.difference(properties))


# What an activity is called


class TemplateError(ValueError):
    """A faulty template."""


def action(template: str, stream: EventStream | None) -> ActionTemplate:
    """Read a template, which names `{fields}` in the manner of str.format; `{{` is a brace.

    Without a stream it is an aggregation's, whose fields are its own; it can be called by the name
    of a feature, page, … if its rows have the id.

    Raises:
        TemplateError: it names what the stream lacks, or is not a template.
    """
    named = _placeholders(template)
    if stream is None:
        if not all(map(str.isidentifier, named)):
            raise TemplateError("has a placeholder that is not the name of a field")
    elif unknown := [name for name in named if name not in stream.placeholders]:
        known = ", ".join(f"{{{name}}}" for name in stream.placeholders)
        names = "".join(f" {{{name}}}" for name in unknown if name.isidentifier())
        raise TemplateError(f"has an unknown placeholder{names}; must be one of {known}")
    learnt = [name for name in dict.fromkeys(named) if name in NAMES]
    if len(learnt) > 1:
        raise TemplateError("names several entities; it must name only one")
    if not learnt:
        return ActionTemplate(template, tuple(dict.fromkeys(named)))
    entity, definitions = NAMES[learnt[0]]
    fields = tuple(dict.fromkeys(entity if name in learnt else name for name in named))
    return ActionTemplate(template, fields, learnt[0], definitions, fields.index(entity))


def _placeholders(template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise TemplateError("has a single brace; braces must be {placeholder}, {{ or }}") from None
    found = []
    for _, name, form, conversion in parts:
        if name is not None:
            if form or conversion:
                raise TemplateError("has a format; it must be {placeholder} alone")
            found.append(name)
    return found
