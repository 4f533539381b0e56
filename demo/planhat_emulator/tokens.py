"""Tokens of a tenant, and how many calls they may still make."""

import base64
import binascii
import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime

from planhat_emulator.knobs import Knobs
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


_SECOND = 1000  # ms


def limit_headers(spelling: str, limit: int, remaining: int, reset: float) -> dict[str, str]:
    """Return the headers of a limit, in the old or the new spelling, or both; reset in s."""
    old = {"X-Rate-Limit-Limit": str(limit), "X-Rate-Limit-Remaining": str(remaining)}
    new = {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(math.ceil(reset)),
    }
    return {
        **(old if spelling in ("old", "both") else {}),
        **(new if spelling in ("new", "both") else {}),
    }


def retry_after(form: str, seconds: float, now: int) -> str:
    """Return the value of Retry-After, as seconds or as an HTTP date after `now`, ms."""
    if form == "seconds":
        return f"{seconds:g}"
    moment = datetime.fromtimestamp(now / 1000 + seconds, timezone.utc)
    return format_datetime(moment, usegmt=True)


class Quota:
    """Counts the calls of each token in windows that begin with their first call."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, int]] = {}
        self._recent: dict[str, deque[int]] = defaultdict(deque)

    def clear(self) -> None:
        """Begin again."""
        self._windows.clear()
        self._recent.clear()

    def count(self, token: str, now: int, knobs: Knobs) -> dict[str, str]:
        """Count a call at `now`, ms, and return the headers of its answer.

        Raises:
            Refused: 429 beyond a limit.
        """
        recent = self._recent[token]
        while recent and recent[0] <= now - _SECOND:
            recent.popleft()
        recent.append(now)
        start, calls = self._windows.get(token, (now, 0))
        if now >= start + knobs.rate_window * _SECOND:
            start, calls = now, 0
        self._windows[token] = start, calls + 1
        reset = knobs.rate_window - (now - start) / _SECOND
        headers: dict[str, str] = {}
        if knobs.rate_limit is not None:
            remaining = max(0, knobs.rate_limit - calls - 1)
            headers = limit_headers(knobs.rate_headers, knobs.rate_limit, remaining, reset)
            if calls >= knobs.rate_limit:
                raise too_many(headers, reset, now, knobs)
        if knobs.hard_limit is not None and len(recent) > knobs.hard_limit:
            raise too_many(headers, 1, now, knobs)
        return headers


def too_many(headers: dict[str, str], seconds: float, now: int, knobs: Knobs) -> Refused:
    """Return the 429, which may say when to come again."""
    if knobs.retry_after != "absent":
        wait = retry_after(knobs.retry_after, math.ceil(seconds), now)
        headers = {**headers, "Retry-After": wait}
    return Refused(429, "Too many requests", headers)
