"""The request bodies of POST /api/v1/aggregation: the only place that spells Pendo's pipelines."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from tap_pendo.calendar import Period, Window, to_ms

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Body = dict[str, t.Any]
ALL_APPS = 'expandAppIds("*")'
ANONYMOUS = "_PENDO_T_"  # how the ids of anonymous visitors begin
_FIRST = 1356998400000  # 2013-01-01, before all of Pendo's data
_AWKWARD = re.compile(r'["\\]')
_SIGNS = {"from": ">=", "behind": ">", "alone": "=="}


def literal(text: str) -> str:
    r"""Quote a string for an expression: only `\` and `"` are escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def body(name: str, pipeline: Sequence[dict[str, t.Any]]) -> Body:
    """Wrap a pipeline in the request envelope."""
    return {
        "response": {"mimeType": "application/json"},
        "request": {"requestId": name, "name": name, "pipeline": list(pipeline)},
    }


@dataclasses.dataclass(frozen=True)
class Cursor:
    """Where to resume in rows sorted by (time, id): at a pair, behind it, or the pair alone.

    Without time, rows are sorted by id.
    """

    time: int | None
    id: str
    reach: t.Literal["from", "behind", "alone"]

    @property
    def awkward(self) -> bool:
        """Whether its id needs an escape, which Pendo may refuse."""
        return literal(self.id) != f'"{self.id}"'

    def unescaped(self) -> Cursor:
        """Give a place at this one or before it, whose id needs no escape: a beginning of the id.

        It is before the id in any order of texts.
        """
        return Cursor(self.time, _AWKWARD.split(self.id)[0], "from") if self.awkward else self

    def expression(self, id_field: str, time_field: str = "") -> str | None:
        """Write the filter; None if it keeps all rows.

        A missing id sorts before all others and compares with nothing.
        """
        there = self._of_id(id_field)
        if self.time is None:
            return there
        now, later = f"{time_field} == {self.time}", f"{time_field} > {self.time}"
        if self.reach == "alone":
            return f"{now} && {there}"
        return f"{later} || ({now} && {there})" if there else f"{time_field} >= {self.time}"

    def _of_id(self, field: str) -> str | None:
        if self.id:
            return f"{field} {_SIGNS[self.reach]} {literal(self.id)}"
        return {"from": None, "behind": f"!isEmpty({field})", "alone": f"isEmpty({field})"}[
            self.reach
        ]


def _event_steps(  # noqa: PLR0913 - each is a part of the request
    source: str,
    period: Period,
    window: Window,
    app_ids: Sequence[int],
    exclude_list: str,
    *,
    agents: Sequence[str] = (),
) -> list[dict[str, t.Any]]:
    """Read an event source: of some or all apps at once, or of each agent in each app."""

    def step(**params: t.Any) -> dict[str, t.Any]:
        series = {
            "period": f"{period}Range",
            "first": to_ms(window.start),
            # the bucket that holds `last` is included, so end - 1 ms
            "last": to_ms(window.end) - 1,
        }
        return {"source": {source: {**params, "blacklist": exclude_list}, "timeSeries": series}}

    if not agents:
        return [step(appId=list(app_ids) or ALL_APPS)]
    branches: list[list[dict[str, t.Any]]] = [
        # rows need not say themselves whose they are
        [step(appId=app, agentId=agent), {"set": {"appId": app, "agentId": agent}}]
        for app in app_ids
        for agent in agents
    ]
    return branches[0] if len(branches) == 1 else [{"spawn": branches}]


def events(  # noqa: PLR0913 - each is a part of the request
    source: str,
    *,
    period: Period,
    window: Window,
    app_ids: Sequence[int],
    exclude_list: str,
    sort: Sequence[str],
    cursor: Cursor | None,
    limit: int | None,
    agents: Sequence[str] = (),
) -> Body:
    """Rows of an event source in one window, of all apps and entities, sorted, at most `limit`.

    Without `sort` they come in any order, and there is no cursor. With `agents` the apps must be
    named.
    """
    steps = _event_steps(source, period, window, app_ids, exclude_list, agents=agents)
    if cursor:
        steps.append({"filter": cursor.expression("visitorId", sort[0])})
    if sort:
        steps.append({"sort": list(sort)})
    if limit:
        steps.append({"limit": limit})
    return body(source, steps)


def count_events(  # noqa: PLR0913 - each is a part of the request
    source: str,
    *,
    period: Period,
    window: Window,
    app_ids: Sequence[int],
    exclude_list: str,
    time_field: str,
    agents: Sequence[str] = (),
) -> Body:
    """Number of rows of an event source whose time is in the window: one row {count}."""
    inside = f"{time_field} >= {to_ms(window.start)} && {time_field} < {to_ms(window.end)}"
    steps = _event_steps(source, period, window, app_ids, exclude_list, agents=agents)
    return body(source, [*steps, {"filter": inside}, {"count": None}])


def people(  # noqa: PLR0913 - each is a part of the request
    source: str,
    *,
    params: dict[str, t.Any] | None,
    id_field: str,
    since: int | None,
    cursor: Cursor | None,
    limit: int | None,
) -> Body:
    """Visitors or accounts changed since a moment (epoch ms) or never stamped, sorted by id."""
    conditions = _changed(since)
    there = cursor.expression(id_field) if cursor else None
    if there:
        conditions.append(there)
    steps = [*_people_source(source, params, conditions), {"sort": [id_field]}]
    if limit:
        steps.append({"limit": limit})
    return body(source, steps)


def count_people(source: str, params: dict[str, t.Any] | None, since: int | None) -> Body:
    """Number of visitors or accounts changed since a moment or never stamped: one row {count}."""
    return body(source, [*_people_source(source, params, _changed(since)), {"count": None}])


def _changed(since: int | None) -> list[str]:
    updated = "metadata.auto.lastupdated"
    return [] if since is None else [f"(isNull({updated}) || {updated} >= {since})"]


def _people_source(
    source: str, params: dict[str, t.Any] | None, conditions: list[str]
) -> list[dict[str, t.Any]]:
    steps: list[dict[str, t.Any]] = [{"source": {source: params}}]
    return [*steps, {"filter": " && ".join(conditions)}] if conditions else steps


def whole(source: str, params: t.Any = None) -> Body:
    """Every row of an object source."""
    return body(source, [{"source": {source: params}}])


def of_all_time(source: str, params: t.Any = None) -> Body:
    """Every row of a source that wants a time series, since Pendo began."""
    series = {"period": "dayRange", "first": _FIRST, "last": "now()"}
    return body(source, [{"source": {source: params, "timeSeries": series}}])


def polls_of_guides() -> Body:
    """Every poll of the guides of all apps."""
    source = {"source": {"guides": {"appId": ALL_APPS}}}
    return body("polls", [source, {"unwind": {"field": "polls"}}])


def count_of(question: Body) -> Body:
    """Number of rows that a question has for an answer: one row {count}."""
    request = question["request"]
    return body(request["name"], [*request["pipeline"], {"count": None}])


def apps_of_events() -> Body:
    """Ids of the apps that had events in the last 30 days: {id}."""
    series = {"period": "dayRange", "first": "now()", "count": -30}
    steps: list[dict[str, t.Any]] = [
        {"source": {"events": {"appId": ALL_APPS}, "timeSeries": series}},
        {"group": {"group": ["appId"]}},
        {"select": {"id": "appId"}},
    ]
    return body("apps", steps)


def polls_seen(ids: dict[str, str], _identified: bool) -> Body:  # noqa: FBT001 - one of a kind
    """Last answers of all visitors to a poll {guideId, pollId}; Pendo wants no time series."""
    return whole("pollsSeenEver", dict(ids))


def segment_members(ids: dict[str, str], identified: bool) -> Body:  # noqa: FBT001 - one of a kind
    """Visitors of a segment {segmentId}, a row for each of their accounts."""
    steps: list[dict[str, t.Any]] = [
        {"source": {"visitors": {"identified": identified}}},
        {"eval": {"accountId": "metadata.auto.accountids"}},
        {"unwind": {"field": "accountId", "keepEmpty": True}},
        # a segment may ask for the account's metadata
        {"bulkExpand": {"account": {"account": "accountId"}}},
        {"segment": {"id": ids["segmentId"]}},
        {"select": {"visitorId": "visitorId", "accountId": "accountId"}},
    ]
    return body("segment_members", steps)


def visitors_since(moment: datetime, *, identified: bool = False) -> Body:
    """Ids of the visitors whose last visit is at a moment or later, or not known."""
    seen = "metadata.auto.lastvisit"
    steps: list[dict[str, t.Any]] = [
        {"source": {"visitors": {"identified": identified}}},
        {"filter": f"isNull({seen}) || {seen} >= {to_ms(moment)}"},
        {"select": {"visitorId": "visitorId"}},
    ]
    return body("visitors_since", steps)


def visitors_with_events(source: str, window: Window) -> Body:
    """Ids of the visitors that have events of a source in a window of whole UTC hours."""
    steps = _event_steps(source, "hour", window, (), "ignore")
    return body(source, [*steps, {"group": {"group": ["visitorId"]}}])
