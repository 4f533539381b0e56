"""Writes the files of a run: the report as JSON and as a page, and lists that hold ids."""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
import json
import os
import re
import shutil
import tempfile
import typing as t
from datetime import date, datetime, timedelta
from pathlib import Path

from markupsafe import Markup, escape

from target_planhat.errors import TargetError
from target_planhat.reporting.report import UnmatchedId, figures, number
from target_planhat.rule_model import FATES, Fate

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import jinja2

    from target_planhat.reporting.report import RunReport

_LIST = "-unmatched.csv"
# what spreadsheets compute begins with one of these
_FORMULA = frozenset("=+-@\t\r")


def prepare(folder: Path) -> None:
    """Make the folder of reports, and check that it can be written to.

    Raises:
        TargetError: it cannot.
    """
    with _report_errors():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def write(report: RunReport, folder: Path | str, unmatched: Iterable[UnmatchedId] = ()) -> Path:
    """Write the report as JSON and as a page, and both again as `latest`; give the page's path.

    The files hold companies, masked ids of people, and names of features only, so they get the mode
    that all files of this user get, for others to read. Unmatched ids get a file that only this
    user can read.

    Raises:
        TargetError: the folder cannot be written to.
    """
    content = figures(report)
    json_text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    texts = {"json": json_text, "html": page(content)}
    folder = Path(folder)
    with _report_errors():
        folder.mkdir(parents=True, exist_ok=True)
        stem = _unique(folder, f"target-planhat-{report.started:%Y%m%dT%H%M%SZ}")
        for name in (stem, "latest"):
            for kind, text in texts.items():
                (folder / f"{name}.{kind}").write_text(text, encoding="utf-8")
        _write_unmatched(unmatched, folder / f"{stem}{_LIST}", folder / f"latest{_LIST}")
    return folder / f"{stem}.html"


def _unique(folder: Path, stem: str) -> str:
    """Return a free name: another run may have started in the same second."""
    names = (f"{stem}-{again}" if again else stem for again in itertools.count())
    for name in names:
        with contextlib.suppress(FileExistsError):
            (folder / f"{name}.json").touch(exist_ok=False)
            return name
    raise AssertionError("there is always another name")


def open_private_file(path: Path) -> tuple[Path, t.IO[str]]:
    """Open an empty file that only this user can read. Returns its path, and the file.

    While another run writes it, the next free name is used: `rejects-2.jsonl`.

    Raises:
        OSError: it cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    others = (path.with_stem(f"{path.stem}-{again}") for again in itertools.count(2))
    for candidate in itertools.chain([path], others):
        descriptor = os.open(candidate, os.O_CREAT | os.O_WRONLY, 0o600)
        if _is_free(descriptor):
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
            return candidate, os.fdopen(descriptor, "w", encoding="utf-8")
        os.close(descriptor)
    raise AssertionError("there is always another name")


def _is_free(descriptor: int) -> bool:
    """Lock an open file, unless another run has; some file systems have no locks."""
    import fcntl  # noqa: PLC0415 - not everywhere, and only for this

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _write_unmatched(unmatched: Iterable[UnmatchedId], file: Path, latest: Path) -> None:
    """Write the unmatched ids, if there are any, for this user only."""
    latest.unlink(missing_ok=True)
    rows = iter(unmatched)
    first = next(rows, None)
    if first is None:
        return
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as into:
        writer = csv.writer(into)
        writer.writerow(UnmatchedId._fields)
        writer.writerows(map(_cells, itertools.chain([first], rows)))
    shutil.copy(file, latest)


def _cells(row: UnmatchedId) -> list[t.Any]:
    """Return the cells of a line; a text that looks like a formula gets a quote before it."""
    return [f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell for cell in row]


@contextlib.contextmanager
def _report_errors() -> Iterator[None]:
    """Turn what goes wrong with files of the report into one line about the setting."""
    try:
        yield
    except OSError as error:
        raise TargetError(
            f"setting `report_path`: the report cannot be written there: {error.strerror}"
        ) from None


Figures = t.Mapping[str, t.Any]
Unit = t.Literal["day", "week", "month", "year"]
Amounts = t.Mapping[str, float]
# what fits side by side on a phone and can still be told apart
_MOST_BARS = 100
_DAYS: tuple[tuple[Unit, int], ...] = (("day", 1), ("week", 7), ("month", 30))
_MINUTE, _HOUR = 60, 3600

WORDS: dict[Fate, tuple[str, str]] = {
    "sent": ("sent", "posted to Planhat"),
    "unchanged": ("unchanged", "Planhat has them already, from this run or an earlier one"),
    "waiting": ("waiting", "too recent, or the name of what was used is not known yet"),
    "parked": ("parked", "no end user or company for them in Planhat yet; sent once there is one"),
    "rejected": ("rejected", "faulty; the reasons are below"),
    "in_doubt": ("in doubt", "posted, but nobody knows whether they arrived"),
    "reference": ("reference", "features, visitors and the like, which give names and matches"),
    "ignored": ("ignored", "not asked for by the rule, or by any"),
}
_PREVIEWED: dict[Fate, tuple[str, str]] = {
    "sent": ("would be sent", "a run that is not dry posts them to Planhat"),
}


class Bar(t.NamedTuple):
    """One bar and its figures."""

    label: str
    amounts: Mapping[str, float]

    @property
    def total(self) -> float:
        """The sum of the figures."""
        return sum(self.amounts.values())


class Chart(t.NamedTuple):
    """Bars side by side; the template gives each part its height.

    `top` is the largest sum of the amounts above zero, `bottom` the lowest of those below.
    """

    bars: Sequence[Bar]
    top: float
    bottom: float

    @property
    def highest(self) -> Bar:
        """The bar with the largest sum."""
        return max(self.bars, key=lambda bar: bar.total)


def page(figures: Figures) -> str:
    """Write the page of a run.

    Args:
        figures: what the JSON file of the run holds.
    """
    words = WORDS | _PREVIEWED if figures["dry_run"] else WORDS
    seconds = (_moment(figures["ended"]) - _moment(figures["started"])).total_seconds()
    return _template().render(
        run=figures,
        fates=FATES,
        used=[fate for fate in FATES if figures[fate]],
        words=words,
        lasted=_duration(seconds),
        rules=[_with_charts(rule) for rule in figures["rules"]],
    )


def _with_charts(rule: Figures) -> dict[str, t.Any]:
    """Add to a rule's figures what only the page has: charts, and figures of longer times."""
    days: Mapping[str, Mapping[str, float]] = rule["days"]
    unit = unit_of(days) if days else "day"
    groups = grouped(unit, days) if days else {}
    subjects = rule["matched"] + rule["unmatched"]
    return {
        **rule,
        "unit": unit,
        "groups": {label: amounts for label, amounts in groups.items() if any(amounts.values())},
        "used": [fate for fate in FATES if rule[fate]],
        "records_chart": chart(groups, FATES),
        "amounts_chart": chart(groups, ["sent_amount"]),
        "subjects": subjects,
        "match_rate": rule["matched"] / subjects if subjects else None,
        "most_unmatched": max((c["subjects"] for c in rule["unmatched_by_company"]), default=0),
    }


def unit_of(days: Iterable[str]) -> Unit:
    """Choose the time that one bar covers, so that there are not too many bars."""
    dates = [date.fromisoformat(day) for day in days]
    span = (max(dates) - min(dates)).days + 1
    fitting = (unit for unit, length in _DAYS if span <= _MOST_BARS * length)
    return next(fitting, "year")


def grouped(unit: Unit, days: Mapping[str, Amounts]) -> dict[str, dict[str, float]]:
    """Add up the days of each unit; units in between that have nothing are there, too.

    Only empty years are left out: a faulty date may be centuries away.
    """
    dates = sorted(map(date.fromisoformat, days))
    groups: dict[str, dict[str, float]] = {}
    if unit != "year":
        span = (dates[-1] - dates[0]).days + 1
        groups = {_label(unit, dates[0] + timedelta(n)): {} for n in range(span)}
    for day in dates:
        group = groups.setdefault(_label(unit, day), {})
        for kind, amount in days[day.isoformat()].items():
            group[kind] = group.get(kind, 0) + amount
    return groups


def chart(groups: Mapping[str, Amounts], kinds: Sequence[str]) -> Chart | None:
    """Make a bar for each group, with the kinds stacked; None if all are zero."""
    bars = [
        Bar(label, {kind: amounts[kind] for kind in kinds if amounts.get(kind)})
        for label, amounts in groups.items()
    ]
    top = max((sum(filter(_is_positive, bar.amounts.values())) for bar in bars), default=0)
    bottom = min(
        (sum(itertools.filterfalse(_is_positive, bar.amounts.values())) for bar in bars), default=0
    )
    return Chart(bars, top, bottom) if top > bottom else None


def _is_positive(amount: float) -> bool:
    return amount > 0


def _label(unit: Unit, day: date) -> str:
    """Name a bar by its first day, as far as that is needed."""
    if unit == "week":
        day -= timedelta(days=day.weekday())
    return day.isoformat()[: {"day": 10, "week": 10, "month": 7, "year": 4}[unit]]


@functools.cache
def _template() -> jinja2.Template:
    import jinja2  # noqa: PLC0415 - slow to import, and most runs draw no page

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("target_planhat.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = _marked
    environment.filters["number"] = number
    environment.filters["share"] = _share
    environment.filters["percent"] = _percent
    environment.filters["readable"] = _readable
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("report.html")


def _marked(text: str) -> Markup:
    """Escape a text; names between backticks become code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _share(part: float, whole: float = 1) -> str:
    """Write 12.3 %, and 100 % or 0 % only where it is all or nothing."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:  # noqa: PLR2004 - the least that is written
        return "< 0.1 %"
    if 99.9 < percent < 100:  # noqa: PLR2004 - the most that is not all
        return "> 99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


def _percent(part: float, whole: float) -> str:
    """Write a length of CSS: 12.34%."""
    return f"{100 * part / whole if whole else 0:.2f}%"


def _readable(moment: str) -> str:
    return f"{_moment(moment):%Y-%m-%d %H:%M} UTC"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // 60} h {minutes % 60} min"
