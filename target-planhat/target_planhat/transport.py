"""The only HTTP: one request to a host of Planhat, and what is known of it without an answer.

Source: planhat-api.md §1, §5. No message and no log line holds a token, a URL or an id.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import typing as t
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote

import backoff
import requests
from requests.adapters import HTTPAdapter

from target_planhat import wording
from target_planhat.limiter import asked_wait
from target_planhat.masking import hidden

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from target_planhat.limiter import Limiter

# Waits before another try: 1, 2, 4, … 60 seconds; about two minutes in all
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
MAX_TRIES = 8
_CONNECT_SECONDS = 30.0
_CHUNK_BYTES = 64 * 1024
_CONNECTIONS = 10
_TOO_MANY, _FAILURE = 429, 500
# These write URLs, which hold the tenant token, at their debug level
_TALKATIVE = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")

logger = logging.getLogger("target-planhat.client")
T = t.TypeVar("T")


class UnavailableError(Exception):
    """Planhat cannot answer now; the text says where and why."""


class NotAcceptedError(UnavailableError):
    """Certainly nothing has been accepted: no connection, or 429."""


class DoubtfulError(UnavailableError):
    """Nobody knows: no answer although something was sent, or 5xx."""


class Answer(t.NamedTuple):
    """An answer that is neither 429 nor 5xx; `body` is None where it broke off."""

    status: int
    body: bytes | None

    @property
    def good(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of statuses


class Host:
    """Speaks to one host, with a token or none. Safe to use from several threads.

    Args:
        base_url: without a slash at its end.
        token: sent as Bearer, if there is one.
        ids: what stands in paths for names in braces; messages show the names.
        limiter: keeps its calls under a quota, and pauses them.
        timeout: seconds until an answer begins.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None,
        limiter: Limiter,
        timeout: float,
        ids: Mapping[str, str],
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._ids = {name: quote(value, safe="") for name, value in ids.items()}
        known = (token, *ids.values(), *self._ids.values())
        self.secrets = [secret for secret in known if secret]
        self._limiter = limiter
        self._timeout = (min(_CONNECT_SECONDS, timeout), timeout)
        self._lock = threading.Lock()
        self._filter = _Hiding(self.secrets)
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(self._filter)
        self._session = requests.Session()
        self._session.auth = _Auth(token)
        self._session.headers["Accept"] = "application/json"
        # no cookies: with none to write, threads share the session safely
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self.calls = 0
        self.stopped = False

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()
        for name in _TALKATIVE:
            logging.getLogger(name).removeFilter(self._filter)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        hide: Callable[[], Collection[str]] = tuple,
    ) -> Answer:
        """Send one request, once.

        Args:
            method: the HTTP method.
            path: may have names in braces.
            body: JSON.
            query: the query.
            hide: gives ids that Planhat may quote, and that no message may hold.

        Raises:
            NotAcceptedError: it did not reach Planhat, or Planhat says 429.
            DoubtfulError: it may have reached Planhat, and may have had its effect.
        """
        self._limiter.wait()
        if self.stopped:
            raise NotAcceptedError(f"{path}: not sent, since the run ends")
        with self._lock:
            self.calls += 1
        sent = _Body(body) if body is not None else None
        with self._opened(method, path, sent, query) as response:
            content = _content(response)
            wait = asked_wait(response.headers, response.status_code)
        if wait:
            self._limiter.pause(wait)
        status = response.status_code
        if status == _TOO_MANY or status >= _FAILURE:
            text = f"{path}: {status} {self.said(content, hide())}".rstrip()
            raise (NotAcceptedError if status == _TOO_MANY else DoubtfulError)(text)
        return Answer(status, content)

    def said(self, body: bytes | None, hide: Collection[str] = ()) -> str:
        """Planhat's own words on one line, without tokens and what is to be hidden."""
        return wording.said(body, [*self.secrets, *hide])

    def retried(
        self, call: Callable[[], T], kinds: type[UnavailableError], tries: int | None = None
    ) -> T:
        """Call until it works; give up after so many tries (`MAX_TRIES`).

        Raises:
            UnavailableError: the last one; if one of the tries was doubtful, that one.
        """
        doubts: list[DoubtfulError] = []

        def once() -> T:
            try:
                return call()
            except DoubtfulError as error:
                doubts.append(error)
                raise

        repeated = backoff.on_exception(
            backoff.constant,
            kinds,
            interval=0,
            max_tries=tries or MAX_TRIES,
            jitter=None,
            giveup=lambda _error: self.stopped,
            on_backoff=self._wait,
            logger=None,
        )
        try:
            return repeated(once)()
        except UnavailableError as error:
            raise doubts[-1] if doubts else error from None

    def _wait(self, details: t.Any) -> None:
        """Pause the host before the next try, for all threads: doubling, with some jitter."""
        own = min(FIRST_WAIT * 2 ** (details["tries"] - 1), LONGEST_WAIT)
        wait = self._limiter.pause(own * random.uniform(1, 1.25))  # noqa: S311 - spreads calls
        logger.warning("%s; try %d in %.0f s", details["exception"], details["tries"] + 1, wait)

    @contextlib.contextmanager
    def _opened(
        self, method: str, path: str, body: _Body | None, query: Mapping[str, str] | None
    ) -> Iterator[requests.Response]:
        """Give an answer whose status is there, and whose body is still to be read."""
        try:
            response = self._session.request(
                method,
                self._base_url + path.format_map(self._ids),
                params=query,
                data=body,
                headers={"Content-Type": "application/json"} if body else None,
                timeout=self._timeout,
                stream=True,
                # a redirect would carry the token to another host
                allow_redirects=False,
            )
        except requests.RequestException as error:
            text = f"{path}: no answer ({_kinds(error)})"
            begun = body is None or body.begun
            raise (DoubtfulError if begun else NotAcceptedError)(text) from None
        with response:
            yield response


class _Body:
    """The body of a request, which notes whether anything of it has left.

    It is asked for only once the connection stands and the headers are out: without it, Planhat
    cannot have accepted anything, whatever went wrong (the name, the connection, a proxy, TLS).
    In pieces, so that the time-out of the socket holds for each piece.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.begun = False

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        for start in range(0, len(self._content), _CHUNK_BYTES):
            yield self._content[start : start + _CHUNK_BYTES]


class _Auth(requests.auth.AuthBase):
    """Sends the token; also without one, lest requests look for a password in .netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Hiding(logging.Filter):
    """Takes secrets out of what others log."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; all pass."""
        record.msg, record.args = hidden(record.getMessage(), *self._secrets), ()
        return True


def _content(response: requests.Response) -> bytes | None:
    """Read a body to its end; None if it breaks off."""
    try:
        return response.content
    except requests.RequestException:
        return None


def _kinds(error: BaseException) -> str:
    """Kinds of the error and its causes, without their texts, which name hosts and URLs."""
    names: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(names) < 3:  # noqa: PLR2004 - three say enough
        names.append(type(seen).__name__)
        inner = seen.args[0] if seen.args else None
        cause = getattr(inner, "reason", None) or inner
        seen = cause if isinstance(cause, BaseException) else seen.__cause__
    return " < ".join(dict.fromkeys(names))
