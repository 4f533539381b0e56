"""Knows the faults that someone has ordered: what goes wrong, for which calls, how often."""

from typing import Any, Literal

import msgspec
from emulation.calls import Orders

_Kind = Literal[
    "status",
    "verify",
    "too_large",
    "cut",
    "truncate",
    "null_results",
    "extra_fields",
    "delay",
    "trickle",
]
_STAGES: dict[str, tuple[str, ...]] = {
    "pace": ("delay", "trickle"),
    "answer": ("status", "verify"),
    "size": ("too_large",),
    "rows": ("null_results", "extra_fields"),
    "body": ("cut", "truncate"),
}


class Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One fault.

    It befalls calls of `path`, of the aggregation source `source`, and whose timeSeries means
    more than `hours`, as far as these are given.

    kind          what happens
    status        the answer is `status` (500 if not given) with `text`, and perhaps `retry_after`,
                  seconds
    verify        token/verify answers {"valid": false}
    too_large     an aggregation of more than `bytes` is refused with `status` (413 if not given)
    cut           the connection ends after `bytes` or `rows`, in the middle of the body
    truncate      the body ends there, but the HTTP message is whole
    null_results  {"results": null}
    extra_fields  each row, or object of a list, has `fields` besides its own
    delay         the answer begins after `seconds`
    trickle       the answer comes in pieces of `bytes`, `seconds` apart
    """

    kind: _Kind
    times: int | None = 1
    after: int = 0
    path: str | None = None
    source: str | None = None
    hours: float | None = None
    status: int | None = None
    text: str = ""
    retry_after: float | None = None
    bytes: int | None = None
    rows: int | None = None
    seconds: float = 0.0
    fields: dict[str, Any] = msgspec.field(default_factory=lambda: {"unknownField": {"new": True}})

    def befalls(self, path: str, source: str, hours: float) -> bool:
        """Return whether a call is of the kind that this fault befalls."""
        return (
            self.path in (None, path)
            and self.source in (None, source)
            and (self.hours is None or hours > self.hours)
        )


class Faults(Orders[Fault]):
    """The faults in force: `times` counts down (None: for ever), `after` lets calls pass first."""

    def __init__(self) -> None:
        super().__init__(Fault)

    def take(self, path: str, source: str, hours: float) -> dict[str, Fault]:
        """Return the faults that befall this call, at most one of each stage, and count them.

        The stages are pace, answer, size, rows and body; a call that fails has no rows and no body.
        """
        taken: dict[str, Fault] = {}
        for stage, kinds in _STAGES.items():
            fault = self._first(kinds, path, source, hours)
            if fault:
                taken[stage] = fault
                if fault.kind == "status":
                    break
        return taken

    def _first(self, kinds: tuple[str, ...], path: str, source: str, hours: float) -> Fault | None:
        return self.first(lambda fault: fault.kind in kinds and fault.befalls(path, source, hours))
