"""Planhat's endpoints, and what a user can do when it refuses.

It knows neither rules nor what was sent before. It repeats only what certainly was not accepted,
or may be done twice.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

import msgspec

from target_planhat.errors import PlanhatError, StoppedError
from target_planhat.planhat import posts
from target_planhat.planhat.http import (
    Answer,
    DoubtfulError,
    Host,
    Limiter,
    NotAcceptedError,
    UnavailableError,
    logger,
)
from target_planhat.planhat.posts import ACTIVITY_KEYS, METRIC_KEYS, Outcome
from target_planhat.redaction import identities

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from target_planhat.planhat.posts import Body

Path = t.Literal["companies", "endusers", "assets", "projects"]

API_URL = "https://api{}.planhat.com"
ACTIVITIES = "/analytics/bulk/{tenant}"
METRICS = "/dimensiondata/{tenant}"
POINTS = "/dimensiondata"
LEAN = "/leancompanies"
END_USERS = "/endusers"

MOST_ITEMS = 10_000
MOST_UPSERTS = 5_000
# documented as 32 MB, without saying whether a MB is 10^6 bytes
MOST_BYTES = 30_000_000
CALLS_PER_MINUTE = 200
# The largest page of a list is not documented: limits that are tried in turn
LIMITS = (5_000, 2_000, 1_000, 100)
POINT_LIMITS = (10_000, *LIMITS)
# Lists that Planhat cuts off have a round number of rows
_ROUND = 100
_CHECK_TRIES = 4
_LEAN_TRIES = 3
# 1, 2, 4 and 8 seconds
_RECOVERY_TRIES = 5
_SLICE_SECONDS = 0.5
# Planhat refuses what it was sent, perhaps for one item
_UNUSABLE = frozenset({400, 422})
_FIELDS: dict[str, tuple[str, ...]] = {
    "companies": ("_id", "externalId", "sourceId", "name"),
    "endusers": ("_id", "externalId", "sourceId", "email", "companyId"),
    "assets": ("_id", "externalId", "sourceId", "companyId"),
    "projects": ("_id", "externalId", "sourceId", "companyId"),
}

_Rows = list[dict[str, t.Any]]


class PlanhatClient:
    """One tenant of Planhat. `post_activities` and `post_metrics` may be called from threads.

    Every method raises `PlanhatError`, one line that names the setting to look at,
    where Planhat refuses a token, or a read gets no answer after all tries. Reads and
    upserts raise `StoppedError` after `interrupt`.

    Args:
        tenant_token: part of the URLs of the analytics host.
        analytics_url: the host that takes activities and metrics.
        api_token: for REST; without it only activities and metrics can be posted.
        region: picks the host of REST, such as `eu3`; None: the one without a region.
        api_url: replaces the host of REST.
        timeout: seconds until an answer begins.
        clock: seconds, for the quota of REST, and by which connections are fresh.
        sleep: waits.
    """

    def __init__(  # noqa: PLR0913 - settings, one by one
        self,
        *,
        tenant_token: str,
        analytics_url: str,
        api_token: str | None = None,
        region: str | None = None,
        api_url: str | None = None,
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
            Limiter(most, clock, self._sleep_in_slices) for most in (None, CALLS_PER_MINUTE)
        )

        def host(url: str, bearer: str | None, limiter: Limiter) -> Host:
            ids = {"tenant": tenant}
            return Host(url, token=bearer, ids=ids, limiter=limiter, timeout=timeout, clock=clock)

        self._activities = host(analytics_url, None, no_quota)
        self._metrics = host(analytics_url, token, no_quota)
        api = api_url or API_URL.format(f"-{region}" if region else "")
        self._api = host(api, token, quota)
        self._hosts = (self._activities, self._metrics, self._api)
        self._upserting = threading.Lock()

    @property
    def calls(self) -> int:
        """How many requests were sent so far."""
        return sum(host.calls for host in self._hosts)

    def stop(self) -> None:
        """Send nothing more; all that is not sent yet becomes unsent. For signal handlers."""
        self._stopped = True
        for host in self._hosts:
            host.stopped = True

    def interrupt(self) -> None:
        """Break off reads of the main thread, but not posts. For its signal handlers.

        Raises:
            StoppedError: if a read is in progress.
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
        """Check both tokens; nothing is changed in Planhat.

        Raises:
            PlanhatError: a token is wrong, or a host does not answer; which setting to check.
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
                "check the network, and `analytics_url` if it is set"
            ) from None
        self._accept_tenant(METRICS, answer)
        if not answer.good:
            raise PlanhatError(
                f"Planhat does not take metrics ({METRICS}: {answer.status} "
                f"{self._metrics.message(answer.body)}): check `tenant_token` and `analytics_url`"
            )

    def recovers(self) -> bool:
        """Whether the analytics host answers; tries a few times, with longer and longer pauses.

        Posts of other threads wait in these pauses too.
        """
        try:
            with self._asking():
                return self._metrics.retried(self._probe, UnavailableError, _RECOVERY_TRIES).good
        except UnavailableError:
            return False

    def post_activities(self, items: Sequence[Body]) -> list[Outcome]:
        """Post any number of user activities.

        Returns:
            The outcome of each item. Once a post is doubtful or does not get through, the items
            after it are unsent.

        Raises:
            PlanhatError: the tenant token is refused, before any item got an outcome.
        """
        return self._post(self._activities, ACTIVITIES, items, ACTIVITY_KEYS)

    def post_metrics(self, items: Sequence[Body]) -> list[Outcome]:
        """Post points of custom metrics, as `post_activities` does."""
        return self._post(self._metrics, METRICS, items, METRIC_KEYS)

    def upsert_end_users(self, items: Sequence[Body]) -> list[Outcome]:
        """Create or change end users by their keys, one call after the other.

        Items need an `externalId` or an `email`, and none may come twice. Outcomes are as for
        posts; accepted ones have the `_id` where the answer gives it.

        Raises:
            PlanhatError: the api token is refused, or may not write end users.
        """
        encoded = [msgspec.json.encode(item) for item in items]

        def send(part: range) -> list[Outcome] | posts.Smaller:
            body = posts.array([encoded[index] for index in part])
            return self._upserted([items[index] for index in part], body)

        with self._upserting:
            return posts.outcomes(encoded, MOST_UPSERTS, MOST_BYTES, send)

    def objects(self, path: Path) -> Iterator[_Rows]:
        """Read all objects of a model, in pages; an object may come twice.

        Yields:
            Objects with `_id`, `externalId`, `sourceId`; end users with `email` too, companies
            with `name`, all others with `companyId`; each as far as Planhat has it.
        """
        lean = self._lean() if path == "companies" else None
        names = _FIELDS[path]
        query = {"select": ",".join(names), "sort": "_id"}
        for page in [lean] if lean else self._pages(f"/{path}", query, LIMITS):
            yield [{name: row[name] for name in names if name in row} for row in page]

    def points(self, company_id: str, dimension_id: str, first_day: int, last_day: int) -> _Rows:
        """Read points of a metric back.

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
        self, host: Host, path: str, items: Sequence[Body], keys: Sequence[str]
    ) -> list[Outcome]:
        encoded = [msgspec.json.encode(item) for item in items]

        def send(part: range) -> list[Outcome] | posts.Smaller:
            body = posts.array([encoded[index] for index in part])
            chosen = [items[index] for index in part]
            answer = host.retried(
                lambda: host.send("POST", path, body, hide=lambda: identities(chosen)),
                NotAcceptedError,
            )
            if answer.good:
                if answer.body is None:
                    logger.warning("%s: the answer %d broke off", path, answer.status)
                return posts.of_post(chosen, answer.body, keys, host.secrets)
            self._accept_tenant(path, answer, identities(chosen))
            if answer.status in _UNUSABLE:
                found = posts.of_refused_post(chosen, answer.body, keys, host.secrets)
                if found and (len(part) > 1 or found[0].fate == "refused"):
                    return found
            return _refusal(host, answer, chosen)

        return posts.outcomes(encoded, MOST_ITEMS, MOST_BYTES, send)

    def _accept_tenant(self, path: str, answer: Answer, hide: Collection[str] = ()) -> None:
        """Raise if nothing can be posted at all."""
        text = f"{path}: {answer.status} {self._metrics.message(answer.body, hide)}".rstrip()
        if answer.status in {401, 403, 404}:
            other = "; metrics may need a valid `api_token` too" if path == METRICS else ""
            raise PlanhatError(
                f"Planhat refuses the `tenant_token` ({text}): it must be the tenant UUID from "
                f"Planhat's settings{other}"
            )
        if 300 <= answer.status < 400:  # noqa: PLR2004 - a redirect
            raise PlanhatError(
                f"Planhat's analytics host redirects ({text}): check `analytics_url`"
            )

    # REST

    def _upserted(self, items: Sequence[Body], body: bytes) -> list[Outcome] | posts.Smaller:

        def put() -> tuple[Answer, list[Outcome] | None]:
            answer = self._api.send("PUT", END_USERS, body, hide=lambda: identities(items))
            found = posts.of_upsert(items, answer.body, self._api.secrets)
            if answer.good and found is None:
                raise DoubtfulError(f"{END_USERS}: the answer cannot be read")
            return answer, found

        with self._asking():
            answer, found = self._api.retried(put, UnavailableError)
        useful = any(one.fate == "accepted" for one in found or ())
        self._accept_token("write", END_USERS, answer, (403,) if useful else ())
        # none was accepted: perhaps because of one, if there are fewer errors than end users
        hindered = answer.status in _UNUSABLE and not useful
        if found and not (hindered and posts.complaints(answer.body) < len(items)):
            return found
        return _refusal(self._api, answer, items)

    def _lean(self) -> _Rows | None:
        """Return all companies in one answer; None if it is refused, or may be cut off."""
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
        """GET a list of objects; None if the status is one of `allowed`."""
        hide = {query[name] for name in ("cId",) if name in query}

        def get() -> tuple[Answer, t.Any]:
            answer = self._api.send("GET", path, query=query, hide=lambda: hide)
            if not answer.good:
                return answer, None
            try:
                return answer, msgspec.json.decode(answer.body or b"", type=_Rows)
            except msgspec.DecodeError:
                raise DoubtfulError(
                    f"{path}: the answer is not a complete list of objects"
                ) from None

        try:
            with self._asking():
                answer, rows = self._api.retried(get, UnavailableError, tries)
        except UnavailableError as error:
            raise _SilentError(
                f"Planhat does not answer ({error}): check the network, and {self._place}"
            ) from None
        self._accept_token("read", path, answer, allowed)
        if not answer.good and answer.status not in allowed:
            text = f"{answer.status} {self._api.message(answer.body, hide)}".rstrip()
            raise PlanhatError(f"Planhat refuses {path} ({text}): check {self._place}")
        return t.cast("_Rows | None", rows)

    def _accept_token(self, verb: str, path: str, answer: Answer, allowed: Collection[int]) -> None:
        """Raise if the token may not do this."""
        if answer.status in allowed:
            return
        if answer.status == 401:  # noqa: PLR2004 - unauthorized
            raise PlanhatError(
                f"Planhat refuses the `api_token` ({path}: 401): it must be the token of a service "
                f"account in this tenant; check {self._place} too, since tokens of another region "
                "are refused the same way"
            )
        if answer.status == 403:  # noqa: PLR2004 - forbidden
            raise PlanhatError(
                f"The `api_token` lacks permission ({path}: 403): allow its service account "
                f"to {verb} {path.removeprefix('/')} in Planhat"
            )

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Let `interrupt` break off this block; a later run reads, or upserts, again."""
        self._asks = True
        try:
            if self._interrupted:
                raise StoppedError
            yield
        finally:
            self._asks = False

    def _sleep_in_slices(self, seconds: float) -> None:
        """Sleep in slices, so that `stop` takes effect."""
        while seconds > 0 and not self._stopped:
            self._sleep(min(seconds, _SLICE_SECONDS))
            seconds -= _SLICE_SECONDS


class _SilentError(PlanhatError):
    """Planhat does not answer a read."""


def _refusal(host: Host, answer: Answer, items: Sequence[Body]) -> list[Outcome] | posts.Smaller:
    """Return why nothing was accepted, or that a smaller part may be."""
    if answer.status == 413:  # noqa: PLR2004 - too large
        return posts.TOO_LARGE
    text = host.message(answer.body, identities(items))
    reason = f"{answer.status} {text}".rstrip()
    if answer.status in _UNUSABLE:
        return posts.Smaller(reason)
    return [Outcome("refused", reason)] * len(items)
