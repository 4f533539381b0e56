"""Knows the tokens: who may call, and what a token may not touch."""

import base64
import binascii
from dataclasses import dataclass, field

from planhat_emulator.refusals import Refused


@dataclass
class Token:
    """An api token; `denied` are the paths of models that it may not touch, such as endusers."""

    token: str
    denied: set[str] = field(default_factory=set)
    valid: bool = True


class Tokens:
    """The api tokens of a tenant, and its tenant tokens."""

    def __init__(self) -> None:
        self._api: dict[str, Token] = {}
        self.tenants: set[str] = set()

    def add(self, token: Token) -> None:
        """Add an api token, or replace the one of that name."""
        self._api[token.token] = token

    def __getitem__(self, token: str) -> Token:
        return self._api[token]

    def check(self, authorization: str) -> Token:
        """Return the token that a request carries, as Bearer or as Basic with an empty password.

        Raises:
            Refused: 401 if missing, malformed, unknown or no longer valid.
        """
        scheme, _, value = authorization.partition(" ")
        found = self._api.get(_basic(value) if scheme.lower() == "basic" else value)
        if scheme.lower() not in ("bearer", "basic") or found is None or not found.valid:
            raise Refused(401, "Unauthorized")
        return found


def _basic(value: str) -> str:
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return user if colon and not password else ""
