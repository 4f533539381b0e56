"""Knows which of the API's uncertain behaviours this emulator shows."""

from typing import Literal

import msgspec


class Knobs(msgspec.Struct, forbid_unknown_fields=True):
    r"""Settings for what is unverified; the defaults are the contract's choices.

    `sort_keys` n honours only the first n keys of a sort, `max_sort_fields` n refuses a sort with
    more. `collation` "casefold" compares strings without case in sort and filter,
    "casefold_sort" in sort only. `filter_escapes` "refused" answers 400 to a filter in which a
    string has `\"` or `\\`. `iterative_periods` answers hourly, daily, weekly and monthly
    with one {startTime, results} a period. `empty_results` "null" writes results of no rows as
    null. `split_rows` gives a grouped row of several events as two rows of equal dimensions.
    `single_events_by` is the time by which a window selects guide and poll events.
    `single_event_rows` "hours" gives singleEvents with hour, day and numEvents, without type and
    browserTime. `agentic_rows` "without_ids" leaves agentId and appId out of agenticEvents.
    `without_series` "all_time" answers event sources without timeSeries with
    everything that ever happened, instead of 400.

    `guides_seen_ever` says whether that source may have, must have or must not have a timeSeries.
    `polls_seen_ever` "one_poll" refuses it without guideId and pollId. `poll_response` names the
    answer in the rows of polls seen. `unknown_shapes` is the form of lists that nobody described:
    an array of objects, an array of strings, or one object by name. `feedback` "not_included"
    answers 403, as by plan. `old_history` is the status for history of more than 180 days ago.
    """

    hour_alignment: Literal["utc", "local"] = "utc"
    sort_keys: int | None = None
    max_sort_fields: int | None = None
    collation: Literal["bytewise", "casefold", "casefold_sort"] = "bytewise"
    filter_escapes: Literal["read", "refused"] = "read"
    retry_after: Literal["seconds", "http-date"] = "seconds"
    identified_null: Literal["all", "identified"] = "all"
    iterative_periods: bool = False
    empty_results: Literal["list", "null"] = "list"
    split_rows: bool = False
    single_events_by: Literal["browserTime", "receivedTime"] = "browserTime"
    agentic_rows: Literal["with_ids", "without_ids"] = "with_ids"
    single_event_rows: Literal["events", "hours"] = "events"
    without_series: Literal["refused", "all_time"] = "refused"
    guides_seen_ever: Literal["either", "series", "no_series"] = "either"
    polls_seen_ever: Literal["any", "one_poll"] = "any"
    poll_response: Literal["response", "pollResponse"] = "response"
    raw_events: Literal["disabled", "enabled"] = "disabled"
    unknown_shapes: Literal["objects", "strings", "object"] = "objects"
    parent_accounts: Literal["absent", "present"] = "absent"
    feedback: Literal["included", "not_included"] = "included"
    old_history: Literal[422, 400] = 422
