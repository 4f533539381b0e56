"""How a plan is told: as JSON for programs, as a table for people."""

from __future__ import annotations

import typing as t

from tap_pendo.planning import ROWS_PER_SECOND
from tap_pendo.windows import to_text

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_pendo.planning import Entry, RunPlan, Windows
    from tap_pendo.windows import Window

ASSUMED = f"""\
Minutes are an estimate: calls take as long as the counts just did, `concurrency` at once where a
run reads ahead; {ROWS_PER_SECOND:,} rows a second are written, what target-postgres was seen to do.
Rows are those that Pendo counts now, spread evenly over their range to tell windows and calls.
Windows are of a day at most where nothing was counted.
? is not known without reading, and is left out of sums.
Calls with which each run begins are left out: key, apps, metadata, columns of reports.
"""


def as_json(plan: RunPlan) -> dict[str, t.Any]:
    """Write the plan as one object; null is what is not known."""
    return {
        "planned_at": to_text(plan.planned_at),
        "streams": [_entry_json(entry) for entry in plan.entries],
        **_totals(plan),
        "assumed": " ".join(ASSUMED.split()),
    }


def _totals(plan: RunPlan) -> dict[str, t.Any]:
    return {
        "windows": plan.total(lambda e: len(e.planned.time.windows) if e.planned.time else 0),
        "calls": plan.total(lambda e: e.planned.calls),
        "rows": plan.total(lambda e: e.planned.rows),
        "expected_minutes": round(plan.total(lambda e: e.minutes), 2),
    }


def _entry_json(entry: Entry) -> dict[str, t.Any]:
    planned, time = entry.planned, entry.planned.time
    found: dict[str, t.Any] = {
        "stream": entry.stream,
        "calls": planned.calls,
        "calls_about": planned.about,
        "rows": planned.rows,
        "expected_minutes": None if entry.minutes is None else round(entry.minutes, 2),
        "problem": entry.problem,
    }
    if time:
        start, end = _bounds(time)
        found |= {
            "bucket": time.bucket,
            "app_ids": list(time.app_ids) or None,
            "start": start and to_text(start),
            "end": end and to_text(end),
            "ranges": [
                {"part": each.part, **_window_json(each.window), "rows": each.rows}
                for each in time.ranges
            ],
            "windows": [_window_json(window) for window in time.windows],
        }
    return found


def _window_json(window: Window) -> dict[str, str]:
    return {"start": to_text(window.start), "end": to_text(window.end)}


def _bounds(time: Windows) -> tuple[datetime | None, datetime | None]:
    """First and last moment of all ranges; what lies between two is read already."""
    if not time.ranges:
        return None, None
    windows = [each.window for each in time.ranges]
    return min(w.start for w in windows), max(w.end for w in windows)


_HEAD = ("stream", "from", "to", "windows", "calls", "rows", "minutes")
_TEXTS = 3  # columns that begin at the left


def as_text(plan: RunPlan) -> str:
    """Write the plan as a table for people, in UTC, then what went wrong and what was assumed."""
    totals = _totals(plan)
    table = [
        _HEAD,
        *map(_cells, plan.entries),
        (
            "total",
            "",
            "",
            *(f"{totals[name]:,}" for name in ("windows", "calls", "rows")),
            f"{totals['expected_minutes']:,.1f}",
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_line(cells, widths) for cells in table]
    rule = _line(tuple("-" * width for width in widths), widths)
    problems = [f"{e.stream}: {e.problem}" for e in plan.entries if e.problem]
    said = ["", *problems] if problems else []
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *said, "", ASSUMED.rstrip()])


def _cells(entry: Entry) -> tuple[str, ...]:
    planned, time = entry.planned, entry.planned.time
    bounds = _bounds(time) if time else (None, None)
    about = "~" if planned.about and planned.calls else ""
    return (
        entry.stream,
        *(f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in bounds),
        f"{len(time.windows):,}" if time else "",
        about + _number(planned.calls),
        _number(planned.rows),
        "?" if entry.minutes is None else f"{entry.minutes:,.1f}",
    )


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = (
        cell.ljust(width) if at < _TEXTS else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(placed).rstrip()
