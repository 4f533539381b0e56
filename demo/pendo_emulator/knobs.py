"""Knows which of the API's uncertain behaviours (API facts §11) this emulator shows."""

from typing import Literal

import msgspec


class Knobs(msgspec.Struct, forbid_unknown_fields=True):
    """Settings for what is unverified; the defaults are the contract's choices (§8).

    `sort_keys` n honours only the first n keys of a sort. `collation` "casefold" compares
    strings without case in sort and filter, "casefold_sort" in sort only.
    """

    hour_alignment: Literal["utc", "local"] = "utc"
    sort_keys: int | None = None
    collation: Literal["bytewise", "casefold", "casefold_sort"] = "bytewise"
    retry_after: Literal["seconds", "http-date"] = "seconds"
    identified_null: Literal["all", "identified"] = "all"
