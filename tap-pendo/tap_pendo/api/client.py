"""The only HTTP: hosts, key, rate limit, retries, and answers decoded as they arrive.

No message holds the key, a URL's host or a visitor's id.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email.utils
import itertools
import logging
import random
import re
import typing as t
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote

import backoff
import msgspec
import requests
from requests.adapters import HTTPAdapter

from tap_pendo import json_stream, redaction
from tap_pendo.api import concurrency
from tap_pendo.api.concurrency import Limiter
from tap_pendo.calendar import UTC
from tap_pendo.errors import (
    BrokenBodyError,
    ForbiddenError,
    NotJsonError,
    RefusedError,
    StreamError,
    TapError,
    ThrottledError,
    UnavailableError,
)
from tap_pendo.metrics import Traffic

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from tap_pendo import Row

REGIONS = {
    "us": "https://app.pendo.io",
    "us1": "https://us1.app.pendo.io",
    "eu": "https://app.eu.pendo.io",
    "jpn": "https://app.jpn.pendo.io",
    "au": "https://app.au.pendo.io",
}
AGGREGATION = "/api/v1/aggregation"
VERIFY = "/api/v1/token/verify"

# Waits without Retry-After: 1, 2, 4, … 60 seconds; about two minutes in all
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
LONGEST_ASKED = 900.0
MAX_TRIES = 8
FEW_TRIES = 2
"""Where somebody waits for the answer at a terminal."""
# A host that has never answered with JSON, and gives other text, is hardly Pendo's
_FOREIGN_TRIES = 2
_CONNECT_SECONDS = 30.0
# Dots alone would mean folders
_PLAIN_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")
_ANYTHING = msgspec.json.Decoder()
_CHUNK_BYTES = 64 * 1024
_RATE_LIMIT = "rateLimitExceeded"
_RETRY = {408, 413, 429, 500, 502, 503, 504}

KEY_REFUSED = (
    "Pendo refuses the `integration_key`: it must be a key of the subscription in `region` "
    "that has not been revoked"
)

logger = logging.getLogger("tap-pendo.client")
T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Access:
    """What Pendo says about a key."""

    valid: bool
    write: bool = False


class Attempt(contextlib.AbstractContextManager[None]):
    """One attempt at reading an answer; `broken` is how it broke off, if it did."""

    def __init__(self) -> None:
        self.broken: BrokenBodyError | None = None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> bool:
        """Pass over an answer that broke off."""
        if isinstance(error, BrokenBodyError):
            self.broken = error
        return self.broken is not None


class PendoClient:
    """Speaks to one Pendo host with one key. Safe to use from several threads.

    Every method raises `UnavailableError` when Pendo cannot answer, after `MAX_TRIES` tries;
    `ThrottledError` after as many answers that ask for fewer calls, which are counted apart;
    `RefusedError` when it refuses the request; `ForbiddenError` when it refuses a valid key this
    object; `TapError` when it refuses the key. A cancelled thread neither waits nor asks:
    `concurrency.CancelledError`. Only `rows` and `list_rows` leave answers that break off
    to their caller, who knows what was read already. What is sent and received is counted in
    `traffic`.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout: float = 300,
        per_second: float = 25,
        connections: int = 4,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = (min(_CONNECT_SECONDS, timeout), timeout)
        self._limiter = Limiter(per_second)
        self._key = key
        self._session = requests.Session()
        self._session.headers["x-pendo-integration-key"] = key
        # no cookies: with none to write, threads share the session safely
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections + 1))
        self._spoke_json = False

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    def access(self, tries: int | None = None) -> Access:
        """Ask what the key may do; a refused key is an answer, not an error."""
        traffic = Traffic()
        try:
            said = self._retried(lambda: self._json("GET", VERIFY, traffic), traffic, tries)
        except ForbiddenError:
            return Access(valid=False)
        except RefusedError as error:
            # the key of another region
            if error.status != requests.codes.bad_request:
                raise
            return Access(valid=False)
        said = said if isinstance(said, dict) else {}
        return Access(valid=said.get("valid") is not False, write=bool(said.get("writeAccess")))

    def get(
        self,
        path: str,
        params: dict[str, str] | None = None,
        traffic: Traffic | None = None,
        ids: Mapping[str, str] | None = None,
    ) -> t.Any:
        """GET a JSON document, whole.

        Args:
            path: may have the names of ids in braces; messages show the names, not the ids.
            params: the query.
            traffic: where it is counted.
            ids: the ids. Those with odd characters are sent in base64.
        """
        counted = traffic or Traffic()
        with self._key_questioned():
            return self._retried(
                lambda: self._json("GET", path, counted, params=params, ids=ids), counted
            )

    def list_rows(self, path: str, traffic: Traffic, ids: Mapping[str, str]) -> Iterator[list[Row]]:
        """GET a list of objects; yield blocks of them as they arrive. Arguments are as in `get`.

        Raises:
            BrokenBodyError: the answer broke off; what was yielded before is whole.
            StreamError: the answer is something else.
        """
        with self._key_questioned():
            opened = self._retried(lambda: self._open("GET", path, traffic, ids=ids), traffic)
        try:
            yield from _blocks(opened, traffic, json_stream.objects, json_stream.of_list)
        except UnavailableError:
            raise
        except StreamError as error:
            raise StreamError(f"{path}: {error}") from error

    def rows(
        self,
        body: dict[str, t.Any],
        traffic: Traffic | None = None,
        tries: int | None = None,
        decode: json_stream.Decode = json_stream.plain,
    ) -> Iterator[list[t.Any]]:
        """POST an aggregation; yield blocks of its rows as they arrive.

        Args:
            body: the request, from `aggregation`.
            traffic: where it is counted.
            tries: how often to ask, if Pendo does not answer; answers that ask for fewer calls have
                tries of their own.
            decode: makes rows of their JSON.

        Raises:
            BrokenBodyError: the answer broke off; what was yielded before is whole.
        """
        counted = traffic or Traffic()
        with self._key_questioned():
            opened = self._retried(lambda: self._posted(body, counted), counted, tries)
        yield from _blocks(opened, counted, decode)

    def all_rows(
        self,
        body: dict[str, t.Any],
        traffic: Traffic | None = None,
        tries: int | None = None,
    ) -> list[Row]:
        """POST an aggregation with a small answer; all its rows, also after broken answers."""
        counted = traffic or Traffic()

        def read() -> list[Row]:
            blocks = _blocks(self._posted(body, counted), counted, json_stream.plain)
            return [row for block in blocks for row in block]

        with self._key_questioned():
            return self._retried(read, counted, tries)

    def count(
        self,
        body: dict[str, t.Any],
        traffic: Traffic | None = None,
        tries: int | None = None,
    ) -> int:
        """POST an aggregation that ends in `count`; the number of rows, 0 if Pendo says nothing."""
        rows = self.all_rows(body, traffic, tries)
        found = rows[0].get("count") if rows else 0
        return found if isinstance(found, int) else 0

    def attempts(self, traffic: Traffic | None = None, most: int = MAX_TRIES) -> Iterator[Attempt]:
        """Give contexts in which an answer is read, until one of them did not break off.

        Raises:
            BrokenBodyError: `most` answers broke off.
        """
        for failures in range(1, most + 1):
            attempt = Attempt()
            yield attempt
            error = attempt.broken
            if error is None:
                return
            if failures == most:
                raise BrokenBodyError(f"{error}, {failures} times") from error
            self.sleep_before_retry(error, failures, traffic)

    def sleep_before_retry(
        self, error: UnavailableError, failures: int, traffic: Traffic | None = None
    ) -> None:
        """Wait before something that failed so many times is asked for again."""
        wait = _wait(error, failures)
        logger.warning("%s; try %d in %.0f s", error, failures + 1, wait)
        if traffic:
            traffic.add(retries=1)
        concurrency.sleep(wait)

    def _posted(self, body: dict[str, t.Any], traffic: Traffic) -> requests.Response:
        return self._open("POST", AGGREGATION, traffic, json=body)

    def _json(self, method: str, path: str, traffic: Traffic, **kwargs: t.Any) -> t.Any:
        with self._open(method, path, traffic, **kwargs) as response:
            try:
                content = response.content
                traffic.add(size=len(content), nul=json_stream.NUL in content)
                answer = json_stream.decode(content, _ANYTHING, lambda: traffic.add(odd=1))
            except requests.RequestException as error:
                raise BrokenBodyError(f"{path}: the answer broke off ({_reason(error)})") from error
            except msgspec.DecodeError as error:
                raise _not_json(path, content) from error
        self._spoke_json = True
        return answer

    def _open(
        self,
        method: str,
        path: str,
        traffic: Traffic,
        ids: Mapping[str, str] | None = None,
        **kwargs: t.Any,
    ) -> requests.Response:
        """Send one request; the answer's body is still to be read, and the answer to be closed."""
        sent, headers = _sent(ids or {})
        concurrency.check()
        self._limiter.wait(path)
        traffic.add(calls=1)
        try:
            response = self._session.request(
                method,
                self._base_url + path.format_map(sent),
                headers=headers,
                timeout=self._timeout,
                stream=True,
                # a redirect would carry the key to another host
                allow_redirects=False,
                **kwargs,
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            raise UnavailableError(f"{path}: no answer ({_reason(error)})") from error
        except requests.RequestException as error:
            raise RefusedError(f"{path}: cannot be asked ({_reason(error)})") from error
        try:
            if response.status_code != requests.codes.ok:
                values = (*redaction.values_in(kwargs.get("json")), *(ids or {}).values())
                self._raise_for(response, path, (*values, *sent.values()), traffic)
        except BaseException:
            response.close()
            raise
        return response

    def _raise_for(
        self, response: requests.Response, path: str, values: Collection[str], traffic: Traffic
    ) -> t.NoReturn:
        """Sort an error's status by what happens next; no message holds the request's values."""
        status = response.status_code
        words = redaction.said(_text(response), [self._key], values)
        said = f"{path}: {status} {words}".rstrip()
        throttled = _throttled(response)
        if status in {401, 403} and not throttled:
            raise ForbiddenError(said)
        if status not in _RETRY and not throttled:
            raise RefusedError(said, status)
        wait = _retry_after(response)
        if throttled:
            traffic.add(throttled=1)
            if wait:
                self._limiter.pause(path, wait)
            raise ThrottledError(said, wait)
        raise UnavailableError(said, wait)

    @contextlib.contextmanager
    def _key_questioned(self) -> Iterator[None]:
        """On 403, ask whether it is the key that is refused."""
        try:
            yield
        except ForbiddenError:
            if not self.access().valid:
                raise TapError(KEY_REFUSED) from None
            raise

    def _retried(self, call: Callable[[], T], traffic: Traffic, tries: int | None = None) -> T:
        """Call until it works.

        Throttled calls have tries of their own: nothing is wrong with them. Text that is not JSON
        has few, as long as nothing else has come from this host.
        """
        foreign = itertools.count(1)

        def repeated(kind: type[UnavailableError], tries: int) -> Callable[..., t.Any]:
            # `sleep_before_retry` waits, as a cancelled thread must not
            return backoff.on_exception(
                backoff.constant,
                kind,
                interval=0,
                max_tries=tries,
                jitter=None,
                giveup=hopeless if kind is UnavailableError else lambda _: False,
                on_backoff=lambda seen: self.sleep_before_retry(
                    seen["exception"], seen["tries"], traffic
                ),
                logger=None,
            )

        def hopeless(error: Exception) -> bool:
            if isinstance(error, NotJsonError) and not self._spoke_json:
                return next(foreign) >= _FOREIGN_TRIES
            return isinstance(error, ThrottledError)

        throttled = repeated(ThrottledError, MAX_TRIES)(call)
        return t.cast("T", repeated(UnavailableError, tries or MAX_TRIES)(throttled)())


def _wait(error: UnavailableError, failures: int) -> float:
    """Seconds to wait: doubling with some jitter, or more if Pendo asks so."""
    own: float = min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT)
    return max(own * random.uniform(1, 1.25), error.retry_after or 0)  # noqa: S311 - spreads calls


def _blocks(
    opened: requests.Response,
    traffic: Traffic,
    decode: json_stream.Decode,
    envelope: Callable[[Iterator[bytes]], Iterator[bytes]] = iter,
) -> Iterator[list[t.Any]]:
    """Read an answer to its end; `envelope` gives it the form that `decoding.blocks` reads."""

    def chunks() -> Iterator[bytes]:
        for chunk in opened.iter_content(_CHUNK_BYTES):
            concurrency.check()
            traffic.add(size=len(chunk))
            yield chunk

    with opened:
        try:
            yield from json_stream.blocks(envelope(chunks()), traffic.note, decode)
        except requests.RequestException as error:
            raise BrokenBodyError(f"the answer broke off ({_reason(error)})") from error


def _not_json(path: str, content: bytes) -> BrokenBodyError:
    """Return the error for JSON that was cut, or for text that never was JSON."""
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start or start in b"{[":
        return BrokenBodyError(f"{path}: the answer is not whole JSON")
    found = "HTML" if start == b"<" else "text"
    return NotJsonError(f"{path}: 200, but the answer is {found} where JSON must be")


def _throttled(response: requests.Response) -> bool:
    """Whether Pendo asks for fewer calls: 429, 409, or 403 with such a reason."""
    if response.status_code in {requests.codes.too_many_requests, requests.codes.conflict}:
        return True
    return response.status_code == requests.codes.forbidden and _RATE_LIMIT in _text(response)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that Pendo asks to wait: a number or an HTTP date; None if it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        # a date of the zone "-0000" comes without one
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), LONGEST_ASKED) if seconds == seconds else None  # noqa: PLR0124 - NaN


def _sent(ids: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Write ids for a path, and the headers that say how: base64 if any has odd characters."""
    if all(map(_PLAIN_ID.fullmatch, ids.values())):
        return dict(ids), {}
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in ids.items()}
    quoted = {name: quote(value, safe="") for name, value in encoded.items()}
    return quoted, {"x-pendo-base64-encoded-params": "true"}


def _text(response: requests.Response) -> str:
    """The body of a refusal; nothing if it breaks off."""
    try:
        return response.text
    except requests.RequestException:
        return ""


def _reason(error: BaseException) -> str:
    """Kinds of the error and its causes, without their texts, which name hosts and URLs."""
    names: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(names) < 3:  # noqa: PLR2004 - three say enough
        names.append(type(seen).__name__)
        inner = seen.args[0] if seen.args else None
        reason = getattr(inner, "reason", None)
        seen = reason if isinstance(reason, BaseException) else seen.__cause__
    return " < ".join(dict.fromkeys(names))
