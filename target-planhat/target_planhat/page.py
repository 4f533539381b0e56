"""How the figures of a run look as one HTML page, which needs neither network nor script."""

from __future__ import annotations

import functools
import json
import re
import typing as t
from datetime import datetime

from markupsafe import Markup, escape

from target_planhat.contributions import FATES, Fate
from target_planhat.pictures import STRIP_HEIGHT, STRIP_WIDTH, chart, grouped, strip, unit_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

Figures = t.Mapping[str, t.Any]
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


def page(figures: Figures) -> str:
    """Draw the page of a run.

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
        strip_size=(STRIP_WIDTH, STRIP_HEIGHT),
        strip=strip({fate: figures[fate] for fate in FATES}),
        rules=[_drawn(rule) for rule in figures["rules"]],
    )


def number(value: float) -> str:
    """Write 1,234 or 1,234.5."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def _drawn(rule: Figures) -> dict[str, t.Any]:
    """Add to a rule's figures what only the page has: pictures, and days that stand together."""
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
        "matches": strip({kind: rule[kind] for kind in ("matched", "unmatched")}),
        "most_unmatched": max((c["subjects"] for c in rule["unmatched_by_company"]), default=0),
    }


@functools.cache
def _template() -> jinja2.Template:
    import jinja2  # noqa: PLC0415 - slow to import, and most runs draw no page

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("target_planhat"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = _marked
    environment.filters["number"] = number
    environment.filters["share"] = _share
    environment.filters["readable"] = _readable
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template("report.html")


def _marked(text: str) -> Markup:
    """Escape a text; what stands between backticks, a name, is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _share(part: float, whole: float = 1) -> str:
    """Write 12.3 %, and 100 % or 0 % only where it is all or nothing."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:  # noqa: PLR2004 - the least that is written
        return "< 0.1 %"
    if 99.9 < percent < 100:  # noqa: PLR2004 - the most that is not all
        return "> 99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


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
