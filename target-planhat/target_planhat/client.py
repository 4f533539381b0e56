"""What is asked of Planhat and sent to it, and what a user can do when it refuses.

Source: planhat-api.md §2 to §5. It knows neither rules nor what was sent before; it repeats by
itself only what certainly was not accepted, or may be done twice.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

import msgspec

from target_planhat import answers, bulk
from target_planhat.answers import ACTIVITY_KEYS, METRIC_KEYS, Outcome
from target_planhat.errors import PlanhatError, StoppedError
from target_planhat.limiter import Limiter
from target_planhat.transport import (
    Answer,
    DoubtfulError,
    Host,
    NotAcceptedError,
    UnavailableError,
    logger,
)
from target_planhat.wording import identities

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from target_planhat.answers import Item

Path = t.Literal["companies", "endusers", "assets", "projects"]

ANALYTICS_URL = "https://analytics.planhat.com"
API_URL = "https://api{}.planhat.com"
ACTIVITIES = "/analytics/bulk/{tenant}"
METRICS = "/dimensiondata/{tenant}"
POINTS = "/dimensiondata"
LEAN = "/leancompanies"
END_USERS = "/endusers"

MOST_ITEMS = 10_000
MOST_UPSERTS = 5_000
# 32 MB by the contract; whether a MB is 10^6 bytes, nobody says
MOST_BYTES = 30_000_000
CALLS_PER_MINUTE = 200
# What a list gives at most is uncertain: limits that are tried in turn (planhat-api §4.1)
LIMITS = (5_000, 2_000, 1_000, 100)
POINT_LIMITS = (10_000, *LIMITS)
# Lists that Planhat cuts off have a round number of rows
_ROUND = 100
_CHECK_TRIES = 4
_LEAN_TRIES = 3
_SLICE_SECONDS = 0.5
_FIELDS: dict[str, tuple[str, ...]] = {
    "companies": ("_id", "externalId", "sourceId"),
    "endusers": ("_id", "externalId", "sourceId", "email", "companyId"),
    "assets": ("_id", "externalId", "sourceId", "companyId"),
    "projects": ("_id", "externalId", "sourceId", "companyId"),
}

_Rows = list[dict[str, t.Any]]


class PlanhatClient:
    """One tenant of Planhat. `post_activities` and `post_metrics` may be called from threads.

    Every method but `answers` raises `PlanhatError`, one line that names the setting to look at,
    where Planhat refuses a token, or a read gets no answer after all tries. What is asked for, and
    is no post, raises `StoppedError` after `interrupt`.

    Args:
        tenant_token: stands in the URLs of the analytics host.
        api_token: for REST; without it only activities and metrics can be posted.
        region: picks the host of REST, such as `eu3`; None: the one without a region.
        api_url: replaces the host of REST.
        analytics_url: replaces the analytics host.
        timeout: seconds until an answer begins.
        clock: seconds, for the quota of REST.
        sleep: waits.
    """

    def __init__(  # noqa: PLR0913 - settings, one by one
        self,
        *,
        tenant_token: str,
        api_token: str | None = None,
        region: str | None = None,
        api_url: str | None = None,
        analytics_url: str | None = None,
        timeout: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._stopped = False
        self._asks = self._interrupted = False
        tenant, token = tenant_token.strip(), "".join((api_token or "").split()) or None
        self._has_token = token is not None
        self._place = "`api_url`" if api_url else "`region`"
        no_quota, quota = (
            Limiter(most, clock, self._rest_a_while) for most in (None, CALLS_PER_MINUTE)
        )

        def host(url: str, bearer: str | None, limiter: Limiter) -> Host:
            ids = {"tenant": tenant}
            return Host(url, token=bearer, ids=ids, limiter=limiter, timeout=timeout)

        analytics = analytics_url or ANALYTICS_URL
        self._activities = host(analytics, None, no_quota)
        self._metrics = host(analytics, token, no_quota)
        api = api_url or API_URL.format(f"-{region}" if region else "")
        self._api = host(api, token, quota)
        self._hosts = (self._activities, self._metrics, self._api)
        self._upserting = threading.Lock()

    @property
    def calls(self) -> int:
        """How many requests were sent so far."""
        return sum(host.calls for host in self._hosts)

    def stop(self) -> None:
        """Send nothing more: what waits or is posted from now on is unsent. For signal handlers."""
        self._stopped = True
        for host in self._hosts:
            host.stopped = True

    def interrupt(self) -> None:
        """Ask nothing more from the main thread; posts go on. For its signal handlers.

        Raises:
            StoppedError: in the midst of what it asks.
        """
        self._interrupted = True
        if self._asks:
            self._asks = False
            raise StoppedError

    def close(self) -> None:
        """Close the idle connections."""
        for host in self._hosts:
            host.close()

    def check(self) -> None:
        """Ask whether both tokens are right; nothing is changed by it.

        Raises:
            PlanhatError: a token is wrong, or a host does not answer; which setting to look at.
        """
        if self._has_token:
            query = {"limit": "1"}
            # 403 is a right token that may not see the team's users
            self._get("/users", query, allowed=(403,), tries=_CHECK_TRIES)
        try:
            with self._asking():
                answer = self._metrics.retried(self._probe, UnavailableError, _CHECK_TRIES)
        except UnavailableError as error:
            raise PlanhatError(
                f"Planhat's analytics host does not answer ({error}): "
                "look at the network, and at `analytics_url` if it is set"
            ) from None
        self._accept_tenant(METRICS, answer)
        if not answer.good:
            raise PlanhatError(
                f"Planhat does not take metrics ({METRICS}: {answer.status} "
                f"{self._metrics.said(answer.body)}): look at `tenant_token` and `analytics_url`"
            )

    def answers(self) -> bool:
        """Ask once, whether the analytics host is well."""
        try:
            with self._asking():
                return self._probe().good
        except UnavailableError:
            return False

    def post_activities(self, items: Sequence[Item]) -> list[Outcome]:
        """Post user activities (planhat-api §2); as many as one likes.

        Returns:
            The outcome of each item. Once a post is doubtful or does not get through, the items
            after it are unsent.

        Raises:
            PlanhatError: the tenant token is refused, before any item got an outcome.
        """
        return self._post(self._activities, ACTIVITIES, items, ACTIVITY_KEYS)

    def post_metrics(self, items: Sequence[Item]) -> list[Outcome]:
        """Post points of custom metrics (planhat-api §3.1), as `post_activities` does."""
        return self._post(self._metrics, METRICS, items, METRIC_KEYS)

    def upsert_end_users(self, items: Sequence[Item]) -> list[Outcome]:
        """Create or change end users by their keys, one call after the other (planhat-api §4.3).

        Items need an `externalId` or an `email`, and none may come twice. Outcomes are as for
        posts; accepted ones have the `_id` where the answer gives it.

        Raises:
            PlanhatError: the api token is refused, or may not write end users.
        """
        encoded = [msgspec.json.encode(item) for item in items]

        def send(part: range) -> list[Outcome] | None:
            chosen = slice(part.start, part.stop)
            return self._upserted(items[chosen], bulk.array(encoded[chosen]))

        with self._upserting:
            return bulk.outcomes(encoded, MOST_UPSERTS, MOST_BYTES, send)

    def objects(self, path: Path) -> Iterator[_Rows]:
        """Read all objects of a model, in pages; an object may come twice.

        Yields:
            Objects with `_id`, `externalId`, `sourceId`; end users with `email` too, and all but
            companies with `companyId`; each as far as Planhat has it.
        """
        lean = self._lean() if path == "companies" else None
        names = _FIELDS[path]
        query = {"select": ",".join(names), "sort": "_id"}
        for page in [lean] if lean else self._pages(f"/{path}", query, LIMITS):
            yield [{name: row[name] for name in names if name in row} for row in page]

    def points(self, company_id: str, dimension_id: str, first_day: int, last_day: int) -> _Rows:
        """Read points of a metric back (planhat-api §3.4).

        Args:
            company_id: `_id` of the company that they belong to.
            dimension_id: of the metric.
            first_day: in days since 1970-01-01, UTC.
            last_day: the same, inclusive.
        """
        query = {
            "cId": company_id,
            "dimid": dimension_id,
            "from": str(first_day),
            "to": str(last_day),
        }
        return [row for page in self._pages(POINTS, query, POINT_LIMITS) for row in page]

    # Posts

    def _probe(self) -> Answer:
        return self._metrics.send("POST", METRICS, b"[]")

    def _post(
        self, host: Host, path: str, items: Sequence[Item], keys: Sequence[str]
    ) -> list[Outcome]:
        encoded = [msgspec.json.encode(item) for item in items]

        def send(part: range) -> list[Outcome] | None:
            chosen = slice(part.start, part.stop)
            body = bulk.array(encoded[chosen])
            answer = host.retried(
                lambda: host.send("POST", path, body, hide=lambda: identities(items[chosen])),
                NotAcceptedError,
            )
            if answer.status == 413:  # noqa: PLR2004 - too large
                return None
            if answer.good:
                if answer.body is None:
                    logger.warning("%s: the answer %d broke off", path, answer.status)
                return answers.of_post(items[chosen], answer.body, keys, host.secrets)
            self._accept_tenant(path, answer, identities(items[chosen]))
            return [_refusal(host, answer, items[chosen])] * len(part)

        return bulk.outcomes(encoded, MOST_ITEMS, MOST_BYTES, send)

    def _accept_tenant(self, path: str, answer: Answer, hide: Collection[str] = ()) -> None:
        """Raise where nothing can be posted at all."""
        told = f"{path}: {answer.status} {self._metrics.said(answer.body, hide)}".rstrip()
        if answer.status in {401, 403, 404}:
            other = "; metrics may need a valid `api_token` too" if path == METRICS else ""
            raise PlanhatError(
                f"Planhat refuses the `tenant_token` ({told}): allowed is the tenant UUID from "
                f"Planhat's settings{other}"
            )
        if 300 <= answer.status < 400:  # noqa: PLR2004 - a redirect
            raise PlanhatError(
                f"Planhat's analytics host redirects ({told}): look at `analytics_url`"
            )

    # REST

    def _upserted(self, items: Sequence[Item], body: bytes) -> list[Outcome] | None:

        def put() -> tuple[Answer, list[Outcome] | None]:
            answer = self._api.send("PUT", END_USERS, body, hide=lambda: identities(items))
            found = answers.of_upsert(items, answer.body, self._api.secrets)
            if answer.good and found is None:
                raise DoubtfulError(f"{END_USERS}: the answer cannot be read")
            return answer, found

        with self._asking():
            answer, found = self._api.retried(put, UnavailableError)
        if answer.status == 413:  # noqa: PLR2004 - too large
            return None
        useful = any(one.fate == "accepted" for one in found or ())
        self._accept_token("write", END_USERS, answer, (403,) if useful else ())
        return found or [_refusal(self._api, answer, items)] * len(items)

    def _lean(self) -> _Rows | None:
        """All companies in one answer; None where there is no such answer, or it may be cut off."""
        try:
            rows = self._get(LEAN, {}, allowed=(400, 403, 404, 405, 422), tries=_LEAN_TRIES)
        except _SilentError:
            return None
        return rows if rows and len(rows) % _ROUND else None

    def _pages(self, path: str, query: dict[str, str], limits: Sequence[int]) -> Iterator[_Rows]:
        """Read a list until a page is empty: a short one may only be cut off by Planhat."""
        offset, before, left = 0, None, list(limits)
        while True:
            asked = {**query, "limit": str(left[0]), "offset": str(offset)}
            page = self._get(path, asked, allowed=(400,) if left[1:] else ())
            if page is None:
                left.pop(0)
                continue
            if not page:
                return
            if page[0] == before:
                raise PlanhatError(f"Planhat gives the same page of {path} again and again")
            yield page
            offset, before = offset + len(page), page[0]

    def _get(
        self,
        path: str,
        query: dict[str, str],
        *,
        allowed: Collection[int] = (),
        tries: int | None = None,
    ) -> _Rows | None:
        """GET a list of objects; None where the status is one of those that are allowed."""
        hide = {query[name] for name in ("cId",) if name in query}

        def get() -> tuple[Answer, t.Any]:
            answer = self._api.send("GET", path, query=query, hide=lambda: hide)
            if not answer.good:
                return answer, None
            try:
                return answer, msgspec.json.decode(answer.body or b"", type=_Rows)
            except msgspec.DecodeError:
                raise DoubtfulError(f"{path}: the answer is no whole list of objects") from None

        try:
            with self._asking():
                answer, rows = self._api.retried(get, UnavailableError, tries)
        except UnavailableError as error:
            raise _SilentError(
                f"Planhat does not answer ({error}): look at the network, and at {self._place}"
            ) from None
        self._accept_token("read", path, answer, allowed)
        if not answer.good and answer.status not in allowed:
            said = f"{answer.status} {self._api.said(answer.body, hide)}".rstrip()
            raise PlanhatError(f"Planhat refuses {path} ({said}): look at {self._place}")
        return t.cast("_Rows | None", rows)

    def _accept_token(self, verb: str, path: str, answer: Answer, allowed: Collection[int]) -> None:
        """Raise where the token may not do this."""
        if answer.status in allowed:
            return
        if answer.status == 401:  # noqa: PLR2004 - unauthorized
            raise PlanhatError(
                f"Planhat refuses the `api_token` ({path}: 401): allowed is the token of a service "
                f"account in this tenant; look at {self._place} too, another one's tokens are "
                "refused the same way"
            )
        if answer.status == 403:  # noqa: PLR2004 - forbidden
            raise PlanhatError(
                f"The `api_token` lacks permission ({path}: 403): allow its service account "
                f"to {verb} {path.removeprefix('/')} in Planhat"
            )

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Let `interrupt` break off what follows; a later run asks again, or upserts again."""
        self._asks = True
        try:
            if self._interrupted:
                raise StoppedError
            yield
        finally:
            self._asks = False

    def _rest_a_while(self, seconds: float) -> None:
        """Sleep in slices, so that `stop` is heard."""
        while seconds > 0 and not self._stopped:
            self._sleep(min(seconds, _SLICE_SECONDS))
            seconds -= _SLICE_SECONDS


class _SilentError(PlanhatError):
    """Planhat does not answer a read."""


def _refusal(host: Host, answer: Answer, items: Sequence[Item]) -> Outcome:
    said = host.said(answer.body, identities(items))
    return Outcome("refused", f"{answer.status} {said}".rstrip())
