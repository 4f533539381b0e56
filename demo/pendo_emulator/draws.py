"""Knows how a made-up world draws its lots: the same name gives the same lot, everywhere."""

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
