"""Calls, as far as the paths need them, and answers."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from planhat_emulator.knobs import Knobs
from planhat_emulator.refusals import Refused
from planhat_emulator.tokens import Token

JSON = "application/json"
_NOTHING: tuple[str, tuple[int, ...]] = "", ()


@dataclass
class Call:
    """One call: verb, path without ids and tokens, the id or token in it, query, decoded body.

    The items at `spoilt[1]` are to fail with the text `spoilt[0]`.
    """

    verb: str
    path: str
    key: str
    query: dict[str, str]
    body: Any = None
    token: Token | None = None
    spoilt: tuple[str, tuple[int, ...]] = _NOTHING


@dataclass
class Answer:
    """A status and a body; without a kind the body is sent without a Content-Type."""

    status: int = 200
    body: bytes = b""
    kind: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200) -> Answer:
    """Return an answer of JSON."""
    return Answer(status, msgspec.json.encode(value))


def in_form(status: int, text: str, form: str, headers: dict[str, str] | None = None) -> Answer:
    """Return a message as text, html or json."""
    if form == "json":
        body, kind = msgspec.json.encode({"message": text}), JSON
    elif form == "html":
        body, kind = f"<html><body>{text}</body></html>".encode(), "text/html; charset=utf-8"
    else:
        body, kind = text.encode(), "text/plain; charset=utf-8"
    return Answer(status, body, kind, headers or {})


def refusal(refused: Refused, knobs: Knobs) -> Answer:
    """Return the answer to a request that is refused."""
    return in_form(refused.status, refused.message, knobs.error_bodies, refused.headers)
