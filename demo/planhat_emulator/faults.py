"""Knows the faults that someone has ordered: what goes wrong, for which calls, how often."""

from typing import Literal

import msgspec
from emulation.calls import Orders

_STAGES: dict[str, tuple[str, ...]] = {
    "pace": ("delay",),
    "items": ("partial",),
    "answer": ("status", "reset", "time_out", "malformed"),
}


class Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One fault.

    It befalls calls of `path` and `verb`, as far as these are given, `times` times (None: for
    ever), once `after` such calls have passed. `path` is the path without ids and tokens:
    /analytics, /analytics/bulk, /dimensiondata, /leancompanies, /companies, /companies/{id} …;
    one that ends in * befalls whatever begins so. With `holding` it befalls only calls whose body
    holds this text, as an item does that Planhat refuses with all that is sent with it.

    status     the answer is `status` (500 if not given) with `text` as text, html or json
               (`form`); `retry_after`, seconds, and the rate limit's `headers` in the old or new
               spelling, or both, are sent where given
    reset      the connection is reset, without an answer
    time_out   there is no answer, for `seconds`; then the connection ends
    malformed  200 with half of the JSON, or `text` where given
    delay      the answer begins after `seconds`
    partial    the items at `indices`, or those that hold `holding`, are not stored, and are errors
               with `text`

    With `commit` status, reset and time_out come after the request has had its effect; malformed
    always does.
    """

    kind: Literal["status", "reset", "time_out", "malformed", "delay", "partial"]
    times: int | None = 1
    after: int = 0
    path: str | None = None
    verb: str | None = None
    holding: str = ""
    commit: bool = False
    status: int = 500
    text: str = ""
    form: Literal["text", "html", "json"] = "text"
    retry_after: float | None = None
    headers: Literal["old", "new", "both"] | None = None
    seconds: float = 0.0
    indices: list[int] = msgspec.field(default_factory=lambda: [0])

    def befalls(self, path: str, verb: str, body: bytes) -> bool:
        """Return whether a call is of the kind that this fault befalls."""
        if self.verb not in (None, verb) or self.holding.encode() not in body:
            return False
        if self.path is not None and self.path.endswith("*"):
            return path.startswith(self.path[:-1])
        return self.path in (None, path)

    def spoilt(self, body: bytes) -> tuple[int, ...]:
        """Return the indices of the items that fail."""
        if not self.holding:
            return tuple(self.indices)
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
        text = self.holding.encode()
        return tuple(index for index, item in enumerate(items) if text in bytes(item))


class Faults(Orders[Fault]):
    """The faults in force."""

    def __init__(self) -> None:
        super().__init__(Fault)

    def take(self, path: str, verb: str, body: bytes) -> dict[str, Fault]:
        """Return the faults that befall this call, at most one of each stage, and count them.

        The stages are pace, items and answer.
        """
        taken: dict[str, Fault] = {}
        for stage, kinds in _STAGES.items():
            fault = self._first(kinds, path, verb, body)
            if fault:
                taken[stage] = fault
        return taken

    def _first(self, kinds: tuple[str, ...], path: str, verb: str, body: bytes) -> Fault | None:
        return self.first(lambda fault: fault.kind in kinds and fault.befalls(path, verb, body))
