"""The run's page, as one reads it in its source and in a browser."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import pytest
from target_planhat.reporting.report import Reason, RunReport, figures, number
from target_planhat.reporting.report_files import page
from target_planhat.rule_model import FATES

from tests.planhat.reports import ALL, Reading, rich, rule, run, shown

KILO = 1000


def _read(report: RunReport) -> Reading:
    return Reading(page(figures(report)))


@pytest.mark.parametrize("days", [1, 30, 150, 800])
@pytest.mark.parametrize("dry_run", [False, True])
def test_page_shows_the_figures_of_the_json(days: int, dry_run: bool) -> None:
    said = figures(rich(days, rules=2, dry_run=dry_run))

    read = Reading(page(said))

    assert read.figures(ALL, "all") == shown(said)
    for each in said["rules"]:
        assert read.figures(ALL, each["name"]) == shown(each)
        (caption,) = (c for c in read.tables if c.startswith(f"{each['name']}: records per "))
        of_days = read.tables[caption]
        assert read.figures(caption, "all")[0] == each["received"]
        rows = [row for row in of_days if row != "all"]
        assert sum(read.figures(caption, row)[0] for row in rows) == each["received"]
        assert sum(read.figures(caption, row)[-1] for row in rows) == each["sent_amount"]
    for name, counts in said["streams"].items():
        assert read.figures(ALL, name) == shown(counts)


def test_days_are_shown_one_by_one_where_they_are_few() -> None:
    said = figures(rich(30))

    read = Reading(page(said))

    first = said["rules"][0]
    used = [fate for fate in FATES if first[fate]]
    for day, counts in first["days"].items():
        assert read.figures("rule_1: records per day by fate, and events sent", day) == [
            counts["received"],
            *(counts[fate] for fate in used),
            counts["sent_amount"],
        ]


def test_page_tells_matches_companies_reasons_and_earlier_runs() -> None:
    read = _read(rich())

    assert "90.9 % of 3,200 ids are known in Planhat" in read.text
    companies = read.tables["Companies with the most unmatched ids"]
    assert companies["company-0"] == {"": "", "ids": "60", "records": "900"}
    assert companies["Company 1 (company-1)"] == {"": "", "ids": "30", "records": "450"}
    assert read.tables["Reasons"]["rejected"] == {"reason": "hour: no date", "records": "7"}
    assert "items of earlier runs, in doubt" in read.text
    assert "events that Planhat has more than Pendo" in read.text


@pytest.mark.parametrize(
    ("dry_run", "there", "not_there"),
    [
        (True, ["would be sent", "Preview of a run", "What would be posted"], ["What was posted"]),
        (False, ["What was posted", "posted to Planhat"], ["would be", "Preview", "Dry run"]),
    ],
)
def test_dry_run_is_a_preview(dry_run: bool, there: list[str], not_there: list[str]) -> None:
    text = _read(rich(dry_run=dry_run)).text

    assert [words for words in there if words not in text] == []
    assert [words for words in not_there if words in text] == []


def test_names_and_samples_are_text_and_no_markup() -> None:
    evil = '<script>alert("1")</script>'
    report = run(
        problem=evil,
        notes=[evil],
        streams={evil: {"ignored": 1}},
        rules=[
            rule(
                name=evil,
                stream=evil,
                to=evil,
                reasons=[Reason("waiting", evil, 1)],
                samples=[{"action": evil, evil: "</pre>"}],
            )
        ],
    )

    read = _read(report)

    assert "script" not in {tag for tag, _ in read.elements}
    assert read.text.count(evil) >= 8
    assert '"</pre>"' in read.text


def test_names_of_fields_and_settings_are_code() -> None:
    reasons = [Reason("waiting", "its day is not over for `settle_hours` yet, `<b>`", 1)]
    source = page(figures(run(rules=[rule(reasons=reasons)])))

    assert "not over for <code>settle_hours</code> yet, <code>&lt;b&gt;</code>" in source


def test_page_needs_nothing_but_itself() -> None:
    read = _read(rich())

    named = {name for _, attributes in read.elements for name in attributes}
    assert not named & {"src", "href", "srcset", "action", "data", "poster"}
    assert not {tag for tag, _ in read.elements} & {"script", "link", "iframe", "img"}
    policy = [a["content"] for tag, a in read.elements if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "url(" not in page(figures(rich()))


def test_pictures_say_in_words_what_they_show() -> None:
    source = page(figures(rich(rules=2)))
    read = Reading(source)

    told = [a for _, a in read.elements if a.get("role") == "img"]
    others = [a for tag, a in read.elements if tag == "i" and "style" not in a]
    ids = [a["id"] for _, a in read.elements if "id" in a]
    assert len(told) == 1 + 3 * 3
    assert others
    assert all("aria-hidden" in a for a in others)
    assert {a["aria-labelledby"] for a in told} <= set(ids)
    assert {a["aria-describedby"] for a in told if "aria-describedby" in a} <= set(ids)
    assert len(ids) == len(set(ids))
    assert 'title="2026-03-08: ' in source


def test_long_back_fill_stays_small() -> None:
    assert len(page(figures(rich(800, rules=5))).encode()) < 250 * KILO
    # the most bars that a chart has
    assert len(page(figures(rich(700, rules=5))).encode()) < 600 * KILO


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (run(), ["No records were received.", "No rule was used in this run."]),
        (run(rules=[rule(days={})]), ["No records came for this rule.", "All figures"]),
        (
            run(outcome="failed", problem="Planhat refuses the token"),
            ["Failed", "Planhat refuses the token"],
        ),
        (run(outcome="stopped", records=1), ["Stopped", "1 record read"]),
        (run(rules=[rule(days={}, matched=1)]), ["100 % of 1 id is known"]),
        (run(rules=[rule(days={}, unmatched=2)]), ["0 % of 2 ids are known"]),
        (run(rules=[rule(matched=9999, unmatched=1)]), ["> 99.9 % of"]),
        (run(records=1, rules=[rule(), rule(name="other")]), ["1 records were read, 8 received"]),
    ],
)
def test_page_of_little(report: RunReport, words: list[str]) -> None:
    text = _read(report).text

    assert [each for each in words if each not in text] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (1234567.0, "1,234,567"),
        (0.1 + 0.2, "0.3"),
        (-1234.5, "-1,234.5"),
    ],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_wheel_carries_the_template(tmp_path: Path) -> None:
    project = Path(__file__).parents[2] / "target-planhat"
    built = subprocess.run(
        [sys.executable, "-m", "uv", "build", "--offline", "--wheel", "-o", tmp_path, project],
        check=False,
        capture_output=True,
        text=True,
    )
    if "not found in the cache" in built.stderr or "No module named uv" in built.stderr:
        pytest.skip("uv, or the build backend in its cache, is missing, and tests are offline")
    assert not built.returncode, built.stderr

    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"target_planhat/reporting/templates/report.{kind}" for kind in ("html", "css")} <= set(
        names
    )


# What a browser makes of the page: a script in a page around it measures it, as wide as a phone
AROUND = """<!doctype html><pre id="out"></pre><iframe style="width:%dpx;height:800px"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const it = frame.contentDocument, style = frame.contentWindow.getComputedStyle(it.body);
  it.querySelectorAll("details").forEach(each => each.open = true);
  const tables = {};
  it.querySelectorAll("table").forEach(table => {
    tables[table.caption.innerText] = [...table.rows].map(row =>
      [...row.cells].map(cell => cell.innerText.trim()));
  });
  const bars = [...it.querySelector(".bars").querySelectorAll(".bar")].map(bar =>
    Object.fromEntries([...bar.querySelectorAll("i[class]")].map(part =>
      [part.getAttribute("class"), part.getBoundingClientRect().height])));
  document.getElementById("out").textContent = JSON.stringify({
    width: it.documentElement.scrollWidth, tables, bars,
    requests: frame.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
    colours: [style.color, style.backgroundColor],
  });
};
frame.srcdoc = %s;
</script>"""


def _chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip(f"no browser here: none of {', '.join(names)}")
    return found


def _browsed(
    source: str, folder: Path, *, width: int = 375, dark: bool = False
) -> dict[str, t.Any]:
    """Open a page in headless Chromium, which is kept off the network, and measure it."""
    around = folder / "around.html"
    around.write_text(AROUND % (width, json.dumps(source).replace("</", "<\\/")), encoding="utf-8")
    done = subprocess.run(
        [
            _chromium(),
            "--headless",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            around.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    read = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert read
    said: dict[str, t.Any] = json.loads(Reading(read[0]).text)
    return said


@pytest.mark.parametrize(("days", "rules"), [(5, 1), (800, 5)])
def test_browser_shows_the_figures_of_the_json_on_a_phone(
    days: int, rules: int, tmp_path: Path
) -> None:
    said = figures(rich(days, rules))

    seen = _browsed(page(said), tmp_path)

    rows = {row[0]: row[1:] for row in seen["tables"][ALL]}
    for name, counts in {
        "all": said,
        **{each["name"]: each for each in said["rules"]},
        **said["streams"],
    }.items():
        assert [float(cell.replace(",", "")) for cell in rows[name]] == shown(counts)
    assert seen["width"] == 375
    assert seen["requests"] == []


def test_browser_draws_bars_in_proportion(tmp_path: Path) -> None:
    said = figures(rich(5))

    seen = _browsed(page(said), tmp_path, width=1100)

    days = said["rules"][0]["days"].values()
    drawn = [
        (bar[fate], day[fate])
        for bar, day in zip(seen["bars"], days, strict=True)
        for fate in FATES
        if day[fate]
    ]
    height, records = map(sum, zip(*drawn, strict=True))
    assert len(drawn) > 20
    assert [high for high, _ in drawn] == pytest.approx(
        [count * height / records for _, count in drawn], abs=0.1
    )


def test_measuring_sees_requests_and_overflow(tmp_path: Path) -> None:
    # with the policy in its head the page could not ask for anything at all
    source = re.sub(r"<meta http-equiv.*?>", "", page(figures(rich(5))))
    wide = '<img src="https://example.org/pixel.png"><p style="width:900px">wide</p>'

    seen = _browsed(source.replace("</body>", f"{wide}</body>"), tmp_path)

    assert seen["requests"] == ["https://example.org/pixel.png"]
    assert seen["width"] > 375


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_both_schemes(dark: bool, tmp_path: Path) -> None:
    seen = _browsed(page(figures(rich(5))), tmp_path, dark=dark)

    text, ground = (_luminance(colour) for colour in seen["colours"])
    assert (text > ground) == dark
    assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) > 7


def _luminance(colour: str) -> float:
    """Tell how bright `rgb(…)` is, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(itertools.starmap(float.__mul__, zip(linear, (0.2126, 0.7152, 0.0722), strict=True)))
