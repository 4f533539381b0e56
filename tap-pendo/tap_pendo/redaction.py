"""What a server says, on one line, without secrets and without the values of the request."""

from __future__ import annotations

import html
import re
import typing as t
from urllib.parse import unquote

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST = 300
_MASK = "…"
_ROUNDS = 4  # of escapes around escapes
_TAG = re.compile(r"<[^<>]*>")
_CODE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_SPACE = re.compile(r"\\+[nrtfbv]|\s+")
# The last one may lack its end
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)|`([^`]*)(?:`|\Z)|' + r"'([^']*)(?:'|\Z)")

# Operators whose texts are names of fields and expressions: only the literals in them are values
_EXPRESSIONS = {
    *("filter", "eval", "select", "sort", "group", "reduce", "identified", "unwind", "join"),
    *("bulkExpand", "expand", "expandList", "useragent", "unmarshal", "itemSeen", "merge"),
}
_BRANCHES = {"spawn", "fork"}
# What is asked for, not whom: names of periods, apps by number, and so on
_HARMLESS = {"timeSeries", "appId", "blacklist"}


def said(text: str, secrets: Iterable[str], values: Iterable[str]) -> str:
    """Give a server's words on one line, at most 300 characters.

    Args:
        text: the body of an answer. Escapes of JSON, URLs and HTML in it are undone.
        secrets: masked wherever they are, in any case and however they are escaped.
        values: likewise, but not inside of longer words.
    """
    shown = _plain(_TAG.sub(" ", text) if text.lstrip().startswith("<") else text)
    for secret in _longest_first(secrets):
        shown = re.sub(_pattern(secret), _MASK, shown, flags=re.IGNORECASE)
    for value in _longest_first(values):
        before = r"(?<![^\W_])" if value[0].isalnum() else ""
        behind = r"(?![^\W_])" if value[-1].isalnum() else ""
        shown = re.sub(before + _pattern(value) + behind, _MASK, shown, flags=re.IGNORECASE)
    return shown[:_MOST]


def values_in(body: t.Any) -> Iterator[str]:
    """Give the values that an aggregation's request holds: ids and other constants.

    Names of fields and of operators are none; a server's words would mean little without them.
    """
    request = body.get("request") if isinstance(body, dict) else None
    yield from _of_steps(request.get("pipeline") if isinstance(request, dict) else None)


def _of_steps(steps: t.Any) -> Iterator[str]:
    for step in steps if isinstance(steps, list) else ():
        if not isinstance(step, dict):
            yield from _of_steps(step)
            continue
        for operator, argument in step.items():
            if operator in _BRANCHES:
                yield from _of_steps(argument)
            else:
                yield from _texts(argument, whole=operator not in _EXPRESSIONS)


def _texts(argument: t.Any, *, whole: bool) -> Iterator[str]:
    """Give the literals of all texts in an argument, and if `whole` these texts too."""
    if isinstance(argument, str):
        yield from (found[1] or found[2] or found[3] or "" for found in _LITERAL.finditer(argument))
        if whole:
            yield argument
    named = argument if isinstance(argument, dict) else {}
    yield from _of_steps(named.get("pipeline"))
    inner = [item for name, item in named.items() if name not in {"pipeline", *_HARMLESS}]
    for item in argument if isinstance(argument, list) else inner:
        yield from _texts(item, whole=whole)


def _plain(text: str) -> str:
    """Undo the escapes of JSON, URLs and HTML, and put everything on one line."""
    for _ in range(_ROUNDS):
        undone = _CODE.sub(lambda found: chr(int(found[1], 16)), html.unescape(unquote(text)))
        if undone == text:
            break
        text = undone
    # halves of a character that were escaped one by one
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(_SPACE.sub(" ", whole).replace("\\", "").split())


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted({plain for text in texts if (plain := _plain(text))}, key=len, reverse=True)


def _pattern(plain: str) -> str:
    # a URL may write a space as +
    return re.escape(plain).replace(r"\ ", "[ +]+")
