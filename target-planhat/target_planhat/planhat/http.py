"""The only HTTP: one host of Planhat, its quota, and what is known of a request without an answer.

No message and no log line holds a token, a URL or an id.
"""

from __future__ import annotations

import contextlib
import email.utils
import logging
import random
import threading
import time
import typing as t
from collections import deque
from datetime import datetime, timezone
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote

import backoff
import requests

from target_planhat import redaction
from target_planhat.redaction import without_secrets

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

# Waits before another try: 1, 2, 4, … 60 seconds; about two minutes in all
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
MAX_TRIES = 8
MINUTE = 60.0
LONGEST_ASKED = 900.0
# A reset beyond this is not a duration but a time, in seconds since 1970
_MOMENT = 1_000_000_000
_CONNECT_SECONDS = 30.0
_CHUNK_BYTES = 64 * 1024
# Servers and proxies close idle connections, some after a second. A request sent at that moment
# gets no answer, and its fate is unknown. So a connection is used again only if its last request
# began less than this many seconds ago: it has then been idle for less
_FRESH_SECONDS = 1.0
_TOO_MANY, _FAILURE, _UNAVAILABLE = 429, 500, 503
# These write URLs, which hold the tenant token, at their debug level
_TALKATIVE = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")

logger = logging.getLogger("target-planhat.client")
T = t.TypeVar("T")


class UnavailableError(Exception):
    """Planhat cannot answer now; the text says where and why."""


class NotAcceptedError(UnavailableError):
    """Certainly nothing has been accepted: no connection, 429 or 503."""


class DoubtfulError(UnavailableError):
    """Unknown whether it was accepted: something was sent without an answer, or another 5xx."""


class Answer(t.NamedTuple):
    """An answer that is neither 429 nor 5xx; `body` is None where it broke off."""

    status: int
    body: bytes | None

    @property
    def good(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of statuses


class Limiter:
    """At most `most` calls in any minute, over all threads; None: no limit."""

    def __init__(
        self,
        most: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._most = most
        self._clock, self._sleep = clock, sleep
        self._turns: deque[float] = deque(maxlen=most or 0)
        self._open = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Reserve the next free time for a call, and sleep until then."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._open)
            if len(self._turns) == self._most:
                turn = max(turn, self._turns[0] + MINUTE)
            self._turns.append(turn)
        if turn > now:
            self._sleep(turn - now)

    def pause(self, seconds: float) -> float:
        """Block calls for some seconds; return the seconds until all pauses are over."""
        with self._lock:
            now = self._clock()
            self._open = max(self._open, now + seconds)
            return self._open - now


class Host:
    """Sends requests to one host, with a token or none. Safe to use from several threads.

    Args:
        base_url: without a slash at its end.
        token: sent as Bearer, if there is one.
        ids: values of the names in braces in paths; messages show the names.
        limiter: keeps its calls under a quota, and pauses them.
        timeout: seconds until an answer begins.
        clock: seconds, by which connections are fresh.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        base_url: str,
        *,
        token: str | None,
        limiter: Limiter,
        timeout: float,
        ids: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._ids = {name: quote(value, safe="") for name, value in ids.items()}
        texts = (token, *ids.values(), *self._ids.values())
        self.secrets = [secret for secret in texts if secret]
        self._limiter = limiter
        self._timeout = (min(_CONNECT_SECONDS, timeout), timeout)
        self._lock = threading.Lock()
        self._filter = _Hiding(self.secrets)
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(self._filter)
        self._auth = _Auth(token)
        self._clock = clock
        self._sessions: list[requests.Session] = []
        # those not in use, with the moment when the last request of each began; last used, last
        self._idle: list[tuple[float, requests.Session]] = []
        self.calls = 0
        self.stopped = False

    def close(self) -> None:
        """Close the connections; one in use is closed when its answer is read."""
        for session in self._sessions:
            session.close()
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
            NotAcceptedError: it did not reach Planhat, or Planhat says 429 or 503.
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
            text = f"{path}: {status} {self.message(content, hide())}".rstrip()
            untaken = status in {_TOO_MANY, _UNAVAILABLE}
            raise (NotAcceptedError if untaken else DoubtfulError)(text)
        return Answer(status, content)

    def message(self, body: bytes | None, hide: Collection[str] = ()) -> str:
        """Return the message of an answer on one line, without tokens and the texts to hide."""
        return redaction.error_message(body, [*self.secrets, *hide])

    def retried(
        self, call: Callable[[], T], kinds: type[UnavailableError], tries: int | None = None
    ) -> T:
        """Call until it works; give up after `tries`, or `MAX_TRIES`.

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
        """Yield an answer whose body has not been read yet."""
        with self._lent() as session:
            try:
                response = session.request(
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

    @contextlib.contextmanager
    def _lent(self) -> Iterator[requests.Session]:
        """Lend a session for one request; its connection, if it has one, is fresh."""
        with self._lock:
            begun, session = self._idle.pop() if self._idle else (None, self._new_session())
        now = self._clock()
        if begun is not None and now - begun >= _FRESH_SECONDS:
            # it opens another connection when it is needed
            session.close()
        try:
            yield session
        finally:
            with self._lock:
                self._idle.append((now, session))

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.auth = self._auth
        session.headers["Accept"] = "application/json"
        # cookies of one answer are not sent with other requests
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._sessions.append(session)
        return session


class _Body:
    """The body of a request, which notes whether anything of it has left.

    It is read only once the connection is open and the headers are sent: before that, Planhat
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
    """Sends the token; also without one, or requests would look for a password in .netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Hiding(logging.Filter):
    """Removes secrets from what libraries log."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; none is dropped."""
        record.msg, record.args = without_secrets(record.getMessage(), *self._secrets), ()
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


def asked_wait(headers: Mapping[str, str], status: int) -> float:
    """Seconds that Planhat asks to wait before the next call, at most `LONGEST_ASKED`.

    `Retry-After` says so, as a number or an HTTP date; else the reset of an exhausted quota, in
    either spelling of its headers. 0 if neither does.

    Args:
        headers: of the answer; names in any case.
        status: of the answer; a 429 means that the quota is exhausted.
    """
    seconds = _seconds(headers.get("Retry-After", ""))
    if seconds is None and (status == 429 or _limit(headers, "remaining") == "0"):  # noqa: PLR2004
        seconds = _seconds(_limit(headers, "reset"))
        if seconds is not None and seconds > _MOMENT:
            seconds -= time.time()
    return min(max(0.0, seconds or 0.0), LONGEST_ASKED)


def _limit(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"X-RateLimit-{name}") or headers.get(f"X-Rate-Limit-{name}") or ""


def _seconds(text: str) -> float | None:
    """Read a number of seconds, or an HTTP date; None where it is neither."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        # a date of the zone "-0000" comes without one
        moment = moment.replace(tzinfo=moment.tzinfo or timezone.utc)
        return (moment - datetime.now(timezone.utc)).total_seconds()
    return seconds if seconds == seconds else None  # noqa: PLR0124 - NaN
