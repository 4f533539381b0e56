"""The only HTTP: hosts, key, rate limit, retries, and answers decoded as they arrive.

Source: pendo-api.md §1. No message holds the key, a URL's host or a visitor's id.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import email.utils
import itertools
import json
import logging
import random
import re
import time
import typing as t
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote

import backoff
import msgspec
import requests
from requests.adapters import HTTPAdapter

from tap_pendo import decoding, mending
from tap_pendo.errors import (
    BrokenBodyError,
    ForbiddenError,
    RefusedError,
    TapError,
    ThrottledError,
    UnavailableError,
)
from tap_pendo.limiter import Limiter
from tap_pendo.traffic import Traffic
from tap_pendo.windows import UTC

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

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
_CONNECT_SECONDS = 30.0
# Dots alone would mean folders
_PLAIN_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")
_ANYTHING = msgspec.json.Decoder()
_CHUNK_BYTES = 64 * 1024
_RETRY = {408, 413, 429, 500, 502, 503, 504}

KEY_REFUSED = (
    "Pendo refuses the `integration_key`: allowed is a key of the subscription in `region` "
    "that has not been revoked"
)

logger = logging.getLogger("tap-pendo.client")
T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Access:
    """What Pendo says about a key."""

    valid: bool
    write: bool = False


class PendoClient:
    """Speaks to one Pendo host with one key. Safe to use from several threads.

    Every method raises `UnavailableError` when Pendo cannot answer, after `MAX_TRIES` tries;
    `ThrottledError` after as many answers 429, which are counted apart; `RefusedError` when it
    refuses the request; `ForbiddenError` when it refuses a valid key this object; `TapError` when
    it refuses the key. Only `rows` leaves answers that break off to its caller, who knows what was
    read already. What is sent and received is counted in `traffic`.
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
        self._session = requests.Session()
        self._session.headers["x-pendo-integration-key"] = key
        # no cookies: with none to write, threads share the session safely
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections + 1))

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    def access(self, tries: int | None = None) -> Access:
        """Ask what the key may do (§1.3); a refused key is an answer, not an error."""
        traffic = Traffic()
        try:
            said = self._retried(lambda: self._json("GET", VERIFY, traffic), traffic, tries)
        except ForbiddenError:
            return Access(valid=False)
        except RefusedError as error:
            # the key of another region (§1.1)
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
            path: may have names in braces, which stand for ids; messages show the names.
            params: the query.
            traffic: where it is counted.
            ids: the ids. Those with odd characters are sent in base64 (§1.2).
        """
        counted = traffic or Traffic()
        with self._key_questioned():
            return self._retried(
                lambda: self._json("GET", path, counted, params=params, ids=ids), counted
            )

    def rows(
        self,
        body: dict[str, t.Any],
        traffic: Traffic | None = None,
        tries: int | None = None,
        decode: decoding.Decode = decoding.plain,
    ) -> Iterator[list[t.Any]]:
        """POST an aggregation; yield blocks of its rows as they arrive.

        Args:
            body: the request, from `aggregation`.
            traffic: where it is counted.
            tries: how often to ask, if Pendo does not answer; answers 429 have tries of their own.
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
    ) -> list[decoding.Row]:
        """POST an aggregation with a small answer; all its rows, also after broken answers."""
        counted = traffic or Traffic()

        def read() -> list[decoding.Row]:
            blocks = _blocks(self._posted(body, counted), counted, decoding.plain)
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

    def rest(self, error: UnavailableError, failures: int, traffic: Traffic | None = None) -> None:
        """Wait before something that failed so many times is asked for again."""
        wait = _wait(error, failures)
        _log_wait(error, failures, wait)
        if traffic:
            traffic.add(retries=1)
        time.sleep(wait)

    def _posted(self, body: dict[str, t.Any], traffic: Traffic) -> requests.Response:
        return self._open("POST", AGGREGATION, traffic, json=body)

    def _json(self, method: str, path: str, traffic: Traffic, **kwargs: t.Any) -> t.Any:
        with self._open(method, path, traffic, **kwargs) as response:
            try:
                content = response.content
                traffic.add(size=len(content), nul=decoding.NUL in content)
                return mending.decode(content, _ANYTHING, lambda: traffic.add(odd=1))
            except requests.RequestException as error:
                raise BrokenBodyError(f"{path}: the answer broke off ({_reason(error)})") from error
            except msgspec.DecodeError as error:
                raise BrokenBodyError(f"{path}: the answer is not whole JSON") from error

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
            hidden = {*_quoted_in(kwargs.get("json")), *(ids or {}).values(), *sent.values()}
            self._check(response, path, hidden, traffic)
        except BaseException:
            response.close()
            raise
        return response

    def _check(
        self, response: requests.Response, path: str, hidden: Collection[str], traffic: Traffic
    ) -> None:
        """Sort a status by what happens next (§1.4); no message holds what is `hidden`."""
        status = response.status_code
        if status == requests.codes.ok:
            return
        said = f"{path}: {status} {_said(response, hidden)}".rstrip()
        if status in {401, 403}:
            raise ForbiddenError(said)
        if status not in _RETRY:
            raise RefusedError(said, status)
        wait = _retry_after(response)
        if status == requests.codes.too_many_requests:
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

    @staticmethod
    def _retried(call: Callable[[], T], traffic: Traffic, tries: int | None = None) -> T:
        """Call until it works; 429 has tries of its own, since it says nothing of the request."""

        def noted(details: t.Any) -> None:
            traffic.add(retries=1)
            _log_wait(details["exception"], details["tries"], details["wait"])

        throttled = backoff.on_exception(
            _waits, ThrottledError, max_tries=MAX_TRIES, jitter=None, on_backoff=noted, logger=None
        )
        unavailable = backoff.on_exception(
            _waits,
            UnavailableError,
            max_tries=tries or MAX_TRIES,
            giveup=lambda error: isinstance(error, ThrottledError),
            jitter=None,
            on_backoff=noted,
            logger=None,
        )
        return unavailable(throttled(call))()


def _waits() -> Generator[float, UnavailableError, None]:
    """Give the seconds to wait after each failure, for `backoff`."""
    error = yield 0.0
    for failures in itertools.count(1):
        error = yield _wait(error, failures)


def _wait(error: UnavailableError, failures: int) -> float:
    """Seconds to wait: doubling with some jitter, or more if Pendo asks so."""
    own: float = min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT)
    return max(own * random.uniform(1, 1.25), error.retry_after or 0)  # noqa: S311 - spreads calls


def _log_wait(error: UnavailableError, failures: int, wait: float) -> None:
    logger.warning("%s; try %d in %.0f s", error, failures + 1, wait)


def _blocks(
    opened: requests.Response, traffic: Traffic, decode: decoding.Decode
) -> Iterator[list[t.Any]]:
    """Read an answer to its end."""

    def chunks() -> Iterator[bytes]:
        for chunk in opened.iter_content(_CHUNK_BYTES):
            traffic.add(size=len(chunk))
            yield chunk

    with opened:
        try:
            yield from decoding.blocks(chunks(), traffic.note, decode)
        except requests.RequestException as error:
            raise BrokenBodyError(f"the answer broke off ({_reason(error)})") from error


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


def _quoted_in(body: t.Any) -> Iterator[str]:
    """Give the texts in the filters of a request: ids, which Pendo may quote."""
    for step in body["request"]["pipeline"] if body else ():
        yield from re.findall(r'"((?:[^"\\]|\\.)+)"', str(step.get("filter", "")))


def _said(response: requests.Response, hidden: Collection[str]) -> str:
    """Pendo's own words on one line; what is `hidden`, which it may quote, is masked."""
    try:
        text = " ".join(response.text.split())
    except requests.RequestException:
        return ""
    for value in sorted(hidden, key=len, reverse=True):
        for written in (value, msgspec.json.encode(value).decode()[1:-1], json.dumps(value)[1:-1]):
            text = text.replace(" ".join(written.split()), "…") if written.strip() else text
    return text[:300]


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
