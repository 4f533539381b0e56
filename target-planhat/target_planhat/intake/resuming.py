"""Detects a tap that resumes though the ledger is new: earlier input went into another ledger."""

from __future__ import annotations

import typing as t
from zoneinfo import ZoneInfo

from target_planhat.value_parsing import Calendar, iso

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Span = tuple[int, int]
"""A start and an exclusive end; epoch ms."""


class Earlier(t.NamedTuple):
    """Time of a stream that was read before this input; epoch ms.

    `may_come`: a part of the input that is still to come may have it.
    """

    stream: str
    start: int
    end: int
    may_come: bool


def earlier(
    state: t.Any, came: Mapping[str, Iterable[Span]], since: Mapping[str, int]
) -> Earlier | None:
    """Return time that the tap's STATE covers, and that did not come in this input.

    After each window a first read of the tap covers exactly the windows that came. One that
    resumes begins with the STATE that it got, and covers more later on.

    With a `since` in the covered time, it is enough if all from then on comes again. The tap reads
    the latest time again, oldest first: time after all windows that came may still come.

    Args:
        state: value of the STATE; one that is not of tap-pendo says nothing.
        came: the windows of this input up to the STATE, by stream.
        since: the first moment of each stream that rules count, in epoch ms.
    """
    found = []
    for stream, first in since.items():
        covered = _covered(state, stream)
        windows = sorted(came.get(stream, ()))
        gap = covered and _gap((max(covered[0], first), covered[1]), windows)
        if covered and gap:
            above = bool(windows) and windows[-1][0] >= gap[1]
            nothing_came = not windows and first <= covered[0]
            found.append(Earlier(stream, *gap, may_come=not (above or nothing_came)))
    return min(found, key=lambda each: each.may_come, default=None)


def _gap(span: Span, windows: Iterable[Span]) -> Span | None:
    """Return the first part of a span that no window covers; the windows are sorted."""
    start, end = span
    for first, last in windows:
        if first > start:
            end = min(end, first)
            break
        start = max(start, last)
    return (start, end) if start < end else None


def described(part: str, found: Earlier) -> str:
    """Describe that `part`, a ledger or a tenant's part of one, is new though the tap resumes."""
    return (
        f"{part} is new, but the tap resumes: by its STATE it has read {found.stream} from "
        f"{iso(found.start)} to {iso(found.end)} before, so that another ledger knows what was "
        "sent, and it would be sent twice. Restore that ledger or set its `ledger_url`; or, if it "
        "is lost, set `since` to the day after the last one that was sent; or, if nothing was "
        "sent, make an empty ledger with `target-planhat --ledger --init`"
    )


def _covered(state: t.Any, stream: str) -> Span | None:
    """Return the time of a stream that a STATE of tap-pendo covers."""
    marks = state
    for name in ("bookmarks", stream):
        marks = marks.get(name) if isinstance(marks, dict) else None
    if not isinstance(marks, dict):
        return None
    start, end = (_MOMENTS(marks.get(name)) for name in ("covered_from", "covered_to"))
    return None if start is None or end is None else (start, end)


_MOMENTS = Calendar(ZoneInfo("UTC")).moment
