"""Repeatable random numbers and ids, and texts that break careless clients."""

import base64
import hashlib
from random import Random


def chances(*name: object) -> Random:
    """Return a random generator that depends on the parts of `name` only."""
    return Random("/".join(map(str, name)))


def identifier(*name: object) -> str:
    """Return an id as Pendo makes them: 27 characters of base64url."""
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return base64.urlsafe_b64encode(digest[:20]).decode().rstrip("=")


TEXTS = (
    "plain",
    'she said "yes"',
    "back\\slash\\",
    "},{",
    "]}",
    '{"results":[',
    "line\nbreak",
    "Zürich",
    "日本語",
    "🦊",
    "",
    "null",
)

VISITOR_IDS = (
    'the "boss"@atlas.example',
    "o'hara@atlas.example",
    "back\\slash",
    "trailing\\",
    '\\"',
    "back`tick",
    "path/with/slashes",
    "percent%20space",
    "plus+tag@atlas.example",
    "amp&eq=?#hash",
    "new\nline",
    "tab\there",
    " leading space",
    "Case@atlas.example",
    "case@atlas.example",
    "CASE@atlas.example",
    "CASE@Atlas.example",
    "Ünïcødé",
    "日本語",
    "\uffee-half-width",
    "🦊@atlas.example",
    "},{",
    "]}",
    '"results":[',
    '{"visitorId":"x"}',
    "null",
    "0",
    "00",
    "12345678901234567890",
)

ACCOUNT_IDS = (
    'ACME "Inc"',
    "acme/eu",
    "back\\slash Ltd",
    "Müller & Söhne",
    "acc-A",
    "ACC-a",
    "acc-a",
    "},{",
    "🦊 GmbH",
    "4711",
)
