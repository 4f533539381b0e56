"""How ids and tokens are shown where people read: enough to tell them apart, no more (P13)."""

from __future__ import annotations

import hashlib

_DIGITS = 8


def masked(value: str) -> str:
    """Show an id or an e-mail address as its first letter and a hash: `a…1f0c9d2e`."""
    return f"{value[:1]}…{hashlib.sha256(value.encode()).hexdigest()[:_DIGITS]}" if value else ""


def digest(value: str) -> str:
    """Hash an id, to know it again without keeping it; e-mail addresses are compared as such."""
    return hashlib.sha256((value.lower() if "@" in value else value).encode()).hexdigest()


def hidden(text: str, *secrets: str | None) -> str:
    """Take secrets out of a text, also those that are parts of others."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
