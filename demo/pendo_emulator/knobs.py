"""Knows which of the API's uncertain behaviours (API facts §11) this emulator shows."""

from typing import Literal

import msgspec


class Knobs(msgspec.Struct, forbid_unknown_fields=True):
    """Settings for what is unverified; the defaults are the contract's choices (§8).

    `sort_keys` n honours only the first n keys of a sort, `max_sort_fields` n refuses a sort with
    more. `collation` "casefold" compares strings without case in sort and filter,
    "casefold_sort" in sort only. `iterative_periods` answers hourly, daily, weekly and monthly
    with one {startTime, results} a period. `empty_results` "null" writes results of no rows as
    null. `split_rows` gives a grouped row of several events as two rows of equal dimensions.
    """

    hour_alignment: Literal["utc", "local"] = "utc"
    sort_keys: int | None = None
    max_sort_fields: int | None = None
    collation: Literal["bytewise", "casefold", "casefold_sort"] = "bytewise"
    retry_after: Literal["seconds", "http-date"] = "seconds"
    identified_null: Literal["all", "identified"] = "all"
    iterative_periods: bool = False
    empty_results: Literal["list", "null"] = "list"
    split_rows: bool = False
