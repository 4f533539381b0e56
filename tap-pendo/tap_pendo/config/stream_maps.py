"""Checks stream maps, which the SDK evaluates; messages show no values."""

from __future__ import annotations

import ast
import difflib
import fnmatch
import re
import typing as t

from singer_sdk import mapper as sdk
from singer_sdk.exceptions import MapExpressionError

from tap_pendo.errors import MapError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from singer_sdk.mapper import PluginMapper

_REMOVED = (None, sdk.NULL_STRING)
# Keys of a map whose values are names, of streams and fields, and no expressions
_NAMES = {sdk.MAPPER_SOURCE_OPTION, sdk.MAPPER_ALIAS_OPTION, sdk.MAPPER_KEY_PROPERTIES_OPTION}


def problems(maps: Mapping[str, t.Any], streams: Sequence[str]) -> Iterator[str]:
    """Say which keys name no stream, so that ids would leave unhashed, and what is not Python."""
    known = f"; must be one of {', '.join(streams)}"
    for key, (source, place) in _sources(maps).items():
        if not _matching(source, streams):
            yield (
                f"setting `stream_maps`: {place} must be a stream, or a pattern with `*` that "
                f"matches some{_nearest(source, streams) or known}"
            )
        for name, expression in _expressions(maps[key]):
            try:
                ast.parse(expression).body[0]
            except (SyntaxError, IndexError, ValueError) as error:
                said = error.msg if isinstance(error, SyntaxError) else "it is empty"
                yield f"setting `stream_maps.{key}.{name}`: Failed to parse expression: {said}"


def unknown_fields(
    maps: Mapping[str, t.Any], fields: Mapping[str, Iterable[str]], streams: Sequence[str]
) -> Iterator[str]:
    """Say which fields a map removes that no stream has: they would leave under another name.

    Args:
        maps: the setting.
        fields: names of fields by stream, of the streams of the catalogue.
        streams: names of all streams.
    """
    known = {name for names in fields.values() for name in names}
    for key, (source, _) in _sources(maps).items():
        # what the catalogue lacks may have the field
        if not isinstance(maps[key], dict) or {*_matching(source, streams)} - fields.keys():
            continue
        for name, expression in maps[key].items():
            if expression in _REMOVED and not name.startswith("__") and name not in known:
                near = _nearest(name, sorted(known))
                yield f"setting `stream_maps.{key}.{name}`: no stream has such a field{near}"


def sentence(error: Exception, maps: Mapping[str, t.Any]) -> str:
    """Give what the SDK says of a map, without expressions and other values of the setting."""
    said = str(error)
    for value in sorted(_values(maps), key=len, reverse=True):
        said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", said)
    return said


def prepare(mapper: PluginMapper) -> None:
    """Let the hashes pass null on, and name the map where an expression fails on a record."""
    for maps in mapper.stream_maps.values():
        for each in maps:
            if isinstance(each, sdk.CustomStreamMap):
                _prepare(each)


def _prepare(each: sdk.CustomStreamMap) -> None:
    each.expr_evaluator.functions.update(md5=_or_null(sdk.md5), sha256=_or_null(sdk.sha256))
    evaluate = each._eval  # noqa: SLF001 - where the SDK knows the field

    def evaluated(**given: t.Any) -> t.Any:
        try:
            return evaluate(**given)
        except Exception as error:  # noqa: BLE001 - an expression may raise anything
            name = given["property_name"] or sdk.MAPPER_FILTER_OPTION
            stream = each.stream_name
            raise MapError(
                f"setting `stream_maps`, {stream}, `{name}`: the expression fails on a record: "
                f"{_reason(error, given['record'])}"
            ) from None

    each._eval = evaluated  # type: ignore[assignment,method-assign] # noqa: SLF001 - as above


def _or_null(digest: t.Callable[[str], str]) -> t.Callable[[str | None], str | None]:
    return lambda value: None if value is None else digest(value)


def _reason(error: Exception, record: Mapping[str, t.Any]) -> str:
    """Say why an expression failed, without values: of these only types are named."""
    cause = error.__cause__ if isinstance(error, MapExpressionError) else error
    name = getattr(cause, "name", None) or getattr(cause, "func_name", None)
    kind = type(cause).__name__
    if kind == "NameNotDefined":
        return f"the name `{name}` is not defined{_nearest(str(name), sorted(record))}"
    if kind == "FunctionNotDefined":
        return f"the function `{name}` is not defined"
    # what Python says of these names types and attributes only
    if isinstance(cause, TypeError | AttributeError):
        return f"{kind}: {cause}"
    return kind


def _sources(maps: Mapping[str, t.Any]) -> dict[str, tuple[str, str]]:
    """Give the stream, or the pattern, of each map, and its place in the setting."""
    found = {}
    for key, said in maps.items():
        if key.startswith("__"):
            continue  # an option, which the SDK checks
        if isinstance(said, dict) and sdk.MAPPER_SOURCE_OPTION in said:
            place = f"`{key}.{sdk.MAPPER_SOURCE_OPTION}`"
            found[key] = str(said[sdk.MAPPER_SOURCE_OPTION]), place
        else:
            found[key] = key, f"`{key}`"
    return found


def _matching(source: str, streams: Iterable[str]) -> list[str]:
    return [name for name in streams if name == source or fnmatch.fnmatch(name, source)]


def _expressions(said: t.Any) -> Iterator[tuple[str, str]]:
    if isinstance(said, dict):
        for name, value in said.items():
            is_option = name in _NAMES or name == sdk.MAPPER_ELSE_OPTION
            if isinstance(value, str) and value not in _REMOVED and not is_option:
                yield name, value


def _values(maps: Mapping[str, t.Any]) -> Iterator[str]:
    for said in maps.values():
        yield str(said)
        for name, value in said.items() if isinstance(said, dict) else ():
            if name not in _NAMES and value not in _REMOVED:
                yield str(value)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known)
    return f"; did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else ""
