"""How ids, tokens and Planhat's own messages are shown where people read."""

from __future__ import annotations

import hashlib
import hmac
import html
import re
import secrets
import typing as t
from urllib.parse import unquote

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_DIGITS = 8
# PostgreSQL finds rows by keys of up to 2,704 bytes
MOST_COMPARED = 400
MOST = 300
_ROUNDS = 4  # of escapes around escapes
_ESCAPED = re.compile(r"[%&\\\s\ud800-\udfff]")
_CODE = re.compile(r"\\+u([0-9a-fA-F]{4})")
_SPACE = re.compile(r"\\+[nrtfbv]|\s+")
_TAG = re.compile(r"<[^<>]*>")
_EMAIL = re.compile(r"[^\s\"'<>(),;:]+@[^\s\"'<>(),;:]+")
# the keys that say who an item is about
_IDENTITY = (
    *("externalId", "euExtId", "id", "sourceId", "email", "name", "firstName", "lastName"),
    *("companyExternalId", "cId", "companyId"),
)


def error_message(body: bytes | None, hide: Iterable[str] = ()) -> str:
    """Return the message of an answer in JSON, HTML or text, on one line, without what to hide."""
    text = (body or b"").decode(errors="replace")
    try:
        value = msgspec.json.decode(body or b"")
    except msgspec.DecodeError:
        return redacted(_TAG.sub(" ", text), hide)
    return redacted(error_text(value), hide)


def error_text(value: t.Any) -> str:
    """Return the text of an error in JSON: its message if it has one, else all of it."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("error", "message") if value.get(name)), value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def redacted(text: str, hide: Iterable[str] = ()) -> str:
    """Put a text on one line; e-mail addresses and the texts to hide become `…`.

    They are found in any case, and however they are escaped: escapes are undone first.
    """
    text = _plain(text)
    for value in sorted(set(map(_plain, hide)), key=len, reverse=True):
        if value and value.lower() in text.lower():
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return _EMAIL.sub("…", text)[:MOST]


def _plain(text: str) -> str:
    """Undo the escapes of JSON, URLs and HTML, and put everything on one line."""
    if not _ESCAPED.search(text):
        return text
    for _ in range(_ROUNDS):
        undone = _CODE.sub(lambda found: chr(int(found[1], 16)), html.unescape(unquote(text)))
        if undone == text:
            break
        text = undone
    # halves of a character that were escaped one by one
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(_SPACE.sub(" ", whole).replace("\\", "").split())


def identities(items: Sequence[t.Any]) -> set[str]:
    """Return the ids, names and addresses that items hold."""
    values = (item.get(name) for item in items if isinstance(item, dict) for name in _IDENTITY)
    texts = {value for value in values if isinstance(value, str)}
    return texts | {re.sub("^(extid|srcid)-", "", text) for text in texts}


# Ids


class Masks:
    """Hashes ids with the key of a ledger; without it nobody can find the id of a hash."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def masked(self, value: str) -> str:
        """Return the first letter of an id or address and a hash: `a…1f0c9d2e`."""
        return f"{value[:1]}…{self._hash(value)[:_DIGITS]}" if value else ""

    def digest(self, value: str) -> str:
        """Hash an id, to recognize it without keeping it; case does not matter in addresses."""
        return self.rehashed(digest(value))

    def rehashed(self, plain: str) -> str:
        """Return the keyed hash of a hash that was made without a key."""
        return self._hash(plain)

    def _hash(self, value: str) -> str:
        return hmac.new(self._key, value.encode(errors="replace"), hashlib.sha256).hexdigest()


class ForgottenIds:
    """The ids and e-mail addresses of forgotten people, as hashes; `in` takes plain ones."""

    def __init__(self, masks: Masks, hashes: Collection[str] = ()) -> None:
        self._masks, self._hashes = masks, frozenset(hashes)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, value: str) -> bool:
        return bool(self._hashes) and self._masks.digest(value) in self._hashes


def folded(value: str) -> str:
    """Return a key as it is compared: case does not matter in e-mail addresses."""
    return value.casefold() if "@" in value else value


def compared(value: str) -> str:
    """Return the key of a value in the ledger: folded, and cut if it is long."""
    return folded(value)[:MOST_COMPARED]


def new_key() -> str:
    """Make a key for the masks of a ledger."""
    return secrets.token_hex(32)


def digest(value: str) -> str:
    """Hash an id without a key; case does not matter in e-mail addresses."""
    return hashlib.sha256(folded(value).encode(errors="replace")).hexdigest()


def without_secrets(text: str, *secrets: str | None) -> str:
    """Replace secrets in a text, also those that are parts of others."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
