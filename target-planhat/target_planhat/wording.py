"""Planhat's own words on one line, without what nobody may read in a message (P13)."""

from __future__ import annotations

import re
import typing as t

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST = 300
_TAG = re.compile(r"<[^<>]*>")
_EMAIL = re.compile(r"[^\s\"'<>(),;:]+@[^\s\"'<>(),;:]+")
# What says who an item is about
_IDENTITY = (
    *("externalId", "euExtId", "id", "sourceId", "email", "name", "firstName", "lastName"),
    *("companyExternalId", "cId", "companyId"),
)


def said(body: bytes | None, hide: Iterable[str] = ()) -> str:
    """Give the message of an answer, whatever its form: JSON, HTML or text."""
    text = (body or b"").decode(errors="replace")
    try:
        value = msgspec.json.decode(body or b"")
    except msgspec.DecodeError:
        return shown(_TAG.sub(" ", text), hide)
    return shown(reason(value), hide)


def reason(value: t.Any) -> str:
    """Give the text of an error in JSON: its message where it has one, else all of it."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("error", "message") if value.get(name)), value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def shown(text: str, hide: Iterable[str] = ()) -> str:
    """Put a text on one line; e-mail addresses and what is to be hidden become `…`."""
    text = " ".join(text.split())
    for value in sorted({" ".join(one.split()) for one in hide}, key=len, reverse=True):
        for written in (value, msgspec.json.encode(value).decode()[1:-1]):
            if written and written in text:
                text = re.sub(rf"(?<!\w){re.escape(written)}(?!\w)", "…", text)
    return _EMAIL.sub("…", text)[:MOST]


def identities(items: Sequence[t.Any]) -> set[str]:
    """Give the ids, names and addresses that items hold."""
    values = (item.get(name) for item in items if isinstance(item, dict) for name in _IDENTITY)
    texts = {value for value in values if isinstance(value, str)}
    return texts | {re.sub("^(extid|srcid)-", "", text) for text in texts}
