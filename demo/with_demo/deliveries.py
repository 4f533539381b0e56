"""What arrived in Planhat, and where target-planhat's report is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from with_demo.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


REPORTS = "TARGET_PLANHAT_REPORT_PATH"


def written(environment: Mapping[str, str]) -> int:
    """When the page was written, in nanoseconds since the epoch; 0 if there is none."""
    if not environment.get(REPORTS):
        return 0
    try:
        return _page(environment).stat().st_mtime_ns
    except OSError:
        return 0


def new_page(environment: Mapping[str, str], before: int) -> str:
    """Where the page lies, as text; nothing, if it was not written since `before`."""
    if written(environment) == before:
        return ""
    return f"Report of target-planhat: {_page(environment).resolve()}"


def _page(environment: Mapping[str, str]) -> Path:
    return Path(environment[REPORTS], "latest.html")


Summary = dict[str, Any]

_SHOWN = 12  # companies of their own line
_PLURALS = {"activity": "Activities", "metric": "Points"}


class Company(NamedTuple):
    """What one company has, or several together, and how much of it came in this run."""

    name: str
    activities: int
    new_activities: int
    counted: float
    points: int
    new_points: int


def holds_anything(summary: Summary) -> bool:
    """Whether anything has ever arrived, be it only to be dropped."""
    return bool(summary["companies"] or summary["failed"])


def show(before: Summary, after: Summary) -> str:
    """What Planhat holds `after` a run, and what of it is new: companies, metrics, the rest.

    Both are summaries as `GET /_emulator/summary` gives them.
    """
    if not holds_anything(after):
        return "Nothing arrived in Planhat."
    parts = (
        _companies(compare(before, after)),
        _metrics(before, after),
        [*_created(before, after), *_dropped(before, after)],
    )
    return "\n\n".join("\n".join(part) for part in parts if part)


def compare(before: Summary, after: Summary) -> list[Company]:
    """The companies that have anything, those with most of it first."""
    known = {one["id"]: one for one in before["companies"]}
    nothing = {"activities": 0, "points": 0}
    found = [
        Company(
            (one["name"] or "(no name)") if one["id"] else "(no company)",
            one["activities"],
            one["activities"] - known.get(one["id"], nothing)["activities"],
            one["count"],
            one["points"],
            one["points"] - known.get(one["id"], nothing)["points"],
        )
        for one in after["companies"]
    ]
    return sorted(found, key=lambda one: (-one.activities - one.points, one.name))


def _companies(companies: Sequence[Company]) -> list[str]:
    if not companies:
        return []
    lines = list(companies[:_SHOWN])
    others = companies[_SHOWN:]
    if others:
        lines.append(_together(f"{len(others):,} more", others))
    if len(companies) > 1:
        lines.append(_together("all companies", companies))
    titles = ("company", "activities", "new in this run", "count", "points", "new in this run")
    return table(titles, [_cells(one) for one in lines])


def _together(name: str, companies: Sequence[Company]) -> Company:
    _, *columns = zip(*companies, strict=True)
    return Company(name, *(sum(column) for column in columns))


def _cells(one: Company) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.activities:,}",
        f"{one.new_activities:+,}",
        f"{one.counted:,}",
        f"{one.points:,}",
        f"{one.new_points:+,}",
    )


def _metrics(before: Summary, after: Summary) -> list[str]:
    known = _by_key(before["metrics"])
    lines = [
        (f"{key[0]} ({key[1]})", f"{number:,}", f"{number - known.get(key, 0):+,}")
        for key, number in _by_key(after["metrics"]).items()
    ]
    return table(("metric", "points", "new in this run"), lines) if lines else []


def _created(before: Summary, after: Summary) -> list[str]:
    number = after["created"]
    new = number - before["created"]
    return [f"End users that Planhat created: {number:,} ({new:+,})"] if number else []


def _dropped(before: Summary, after: Summary) -> list[str]:
    known = _by_key(before["failed"])
    lines = []
    for (kind, why), number in _by_key(after["failed"]).items():
        new = number - known.get((kind, why), 0)
        lines.append(f"{_PLURALS[kind]} that Planhat dropped ({why}): {number:,} ({new:+,})")
    return lines


def _by_key(counted: Sequence[Sequence[Any]]) -> Mapping[tuple[str, str], int]:
    return {(first, second): number for first, second, number in counted}
