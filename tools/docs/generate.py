"""Writes the generated parts of the documents and of meltano.yml, or says which are stale."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import re
import runpy
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

from emulation.clock import Clock
from pendo_emulator.server import serve
from pendo_emulator.switches import SWITCHES
from pendo_emulator.world import World
from planhat_emulator.knobs import Knobs
from tap_pendo.catalog import CATALOG
from tap_pendo.catalog.stream_specs import ChildSpec
from tap_pendo.tap import TapPendo
from target_planhat.config.pendo_streams import EVENT_STREAMS
from target_planhat.target import TargetPlanhat

from tools.docs.hub_definitions import (
    OVERLAY,
    Rule,
    choices,
    definitions,
    json_type,
    kind,
    meltano_kind,
)
from tools.docs.stream_pages import diagrams, sections

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singer_sdk.plugin_base import PluginBase
    from tap_pendo.catalog.stream_specs import StreamSpec

ROOT = Path(__file__).resolve().parents[2]
PLUGINS: dict[str, type[PluginBase]] = {"tap-pendo": TapPendo, "target-planhat": TargetPlanhat}
GOLDEN = "tests/golden/catalog.json"
DOCUMENTS = (
    "tap-pendo/README.md",
    "target-planhat/README.md",
    "demo/README.md",
    "docs/operating.md",
    "docs/performance.md",
    "docs/planhat-rules.md",
    "docs/scale.md",
    "docs/streams.md",
)
# what the tests expect of each difficulty
OUTCOMES = "tests/outcomes.py"
PROJECT = "meltano.yml"
# what the types of customers' own metadata are made from must not move with the calendar
NOW = "2026-03-01T12:00:00Z"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write what is stale; with --check only name it, and fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    options = parser.parse_args(arguments)
    stale = {path: text for path, text in documents(root).items() if _content(path) != text}
    for path, text in stale.items():
        name = path.relative_to(root)
        if options.check:
            print(f"{name} is stale: run ./do fix", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{name} written")
    return 1 if stale and options.check else 0


def documents(root: Path) -> dict[Path, str]:
    """Each document as it should be."""
    catalog = discovered()
    streams = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
    replication = {row.name: _replication(row, streams[row.name]) for row in CATALOG}
    in_markdown = {
        "streams": stream_table(catalog),
        "pictures of the streams": diagrams(streams),
        "columns of the streams": sections(CATALOG, streams, replication, _table),
        "switches": switch_table(),
        "faults": fault_table(),
        "knobs": knob_table(),
        "event streams of target-planhat": event_stream_table(),
        **measured(),
    }
    in_yaml = {}
    for name, plugin in PLUGINS.items():
        in_markdown[f"settings of {name}"] = setting_table(own(plugin))
        in_yaml[f"settings of {name}"] = setting_list(every(plugin))
    found = {root / GOLDEN: json.dumps(catalog, indent=2, sort_keys=True) + "\n"}
    for name in DOCUMENTS:
        found[root / name] = filled(_content(root / name), "<!-- {} -->", in_markdown)
    found[root / PROJECT] = filled(_content(root / PROJECT), "# {}", in_yaml)
    hub = definitions(_content(root / OVERLAY), abouts())
    return found | {root / name: text for name, text in hub.items()}


def abouts() -> dict[str, t.Any]:
    """What each plugin's `--about --format=json` prints."""
    found = {}
    for name, plugin in PLUGINS.items():
        with contextlib.redirect_stdout(io.StringIO()) as said:
            plugin.print_about("json")
        found[name] = json.loads(said.getvalue())
    return found


def measured() -> dict[str, str]:
    """Tables of the benchmarks, from the figures in docs/benchmarks.json, and of scale."""
    command = [sys.executable, "-m", "benchmarks.documents"]
    said = subprocess.check_output(command, cwd=ROOT)  # noqa: S603 - our own
    found: dict[str, str] = json.loads(said)
    return found


def discovered() -> dict[str, t.Any]:
    """What the tap discovers in the emulated Pendo; its warnings are of no interest here."""
    logging.disable(logging.WARNING)
    try:
        with serve(World(clock=Clock(NOW))) as pendo:
            tap = TapPendo(config={"integration_key": pendo.key, "api_url": pendo.url})
            catalog: dict[str, t.Any] = tap.catalog_dict
            tap.run.client.close()
    finally:
        logging.disable(logging.NOTSET)
    return catalog


def filled(text: str, comment: str, parts: dict[str, str]) -> str:
    """Put the parts between their comments, `generated: NAME` and `end`; keep the indentation."""
    begin, end = (
        re.escape(comment).replace(r"\{\}", word) for word in (r"generated: ([^\n]+?)", "end")
    )
    block = re.compile(rf"^( *){begin}\n.*?^\1{end}$", re.DOTALL | re.MULTILINE)

    def fill(found: re.Match[str]) -> str:
        indent, name = found.groups()
        lines = (comment.format(f"generated: {name}"), parts[name], comment.format("end"))
        return textwrap.indent("\n".join(lines), indent)

    return block.sub(fill, text)


def every(plugin: type[PluginBase]) -> dict[str, Rule]:
    """All settings, as `--about` has them."""
    schema = {"type": "object", "properties": dict(plugin.config_jsonschema["properties"])}
    plugin.append_builtin_config(schema)
    required = plugin.config_jsonschema.get("required", ())
    return {
        name: {**rule, "required": name in required}
        for name, rule in t.cast("dict[str, Rule]", schema["properties"]).items()
    }


def own(plugin: type[PluginBase]) -> dict[str, Rule]:
    """The settings that the SDK does not add."""
    builtin: Rule = {"type": "object", "properties": {}}
    plugin.append_builtin_config(builtin)
    return {name: rule for name, rule in every(plugin).items() if name not in builtin["properties"]}


# Markdown


def stream_table(catalog: dict[str, t.Any]) -> str:
    """One line for each stream: keys and replication as discovered, the rest from the table."""
    entries = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
    lines = []
    for row in CATALOG:
        entry = entries[row.name]
        key = ", ".join(f"`{name}`" for name in entry["key_properties"])
        about = f"{row.about}{_notes(row)}"
        lines.append((f"`{row.name}`", about, key, _replication(row, entry), row.origin))
    titles = ("Stream", "What it is", "Primary key", "Replication", "Pendo source")
    return _table(titles, lines)


def _notes(row: StreamSpec) -> str:
    if not row.verified:
        return " *Unverified; off by default.*"
    return "" if row.selected else " *Off by default.*"


def _replication(row: StreamSpec, entry: dict[str, t.Any]) -> str:
    if isinstance(row, ChildSpec):
        return f"with `{row.parent}`"
    if entry["replication_method"] == "FULL_TABLE":
        return "full table"
    return f"incremental by `{entry['replication_key']}`"


def switch_table() -> str:
    """One line for each difficulty of the emulated Pendo."""
    lines = [(f"`{one.name}`", one.about, "fatal" if one.fatal else "exact") for one in SWITCHES]
    return _table(("Name", "What is difficult", "Ends"), lines)


def fault_table() -> str:
    """One line for each difficulty under which some stream has to wait, as the tests expect it."""
    expected = runpy.run_path(str(ROOT / OUTCOMES))
    kinds, refused = expected["KINDS"], expected["REFUSED"]
    lines = []
    for one in SWITCHES:
        if one.name in refused:
            word, waiting = refused[one.name]
            names = (name if name in kinds else f"`{name}`" for name in waiting)
            everything = len(waiting) == len(kinds)
            lines.append((one.about, "everything" if everything else ", ".join(names), word))
    return _table(("What Pendo does", "What waits for another run", "Reported as"), lines)


def knob_table() -> str:
    """One line for each knob of the emulated Planhat, its default first."""
    described = t.get_type_hints(Knobs, include_extras=True)
    defaults = Knobs()
    lines = []
    for name, hint in described.items():
        default = getattr(defaults, name)
        allowed = t.get_args(hint.__origin__) if t.get_origin(hint.__origin__) is t.Literal else ()
        others = [value for value in allowed if value != default]
        values = ", ".join(f"`{json.dumps(value)}`" for value in (default, *others))
        lines.append((f"`{name}`", values, hint.__metadata__[0].description))
    return _table(("Knob", "Default, others", "What is unsettled"), lines)


def event_stream_table() -> str:
    """One line for each event stream that a rule of target-planhat can name."""
    lines = []
    for one in EVENT_STREAMS.values():
        action = f"`{{{one.placeholder}}}`" if one.placeholder else "required"
        counts = "the events that a row counts" if one.grouped else "each row"
        told = (one.times, (one.entity,) if one.entity else (), one.numbers)
        times, entity, numbers = (", ".join(f"`{name}`" for name in names) for names in told)
        lines.append((f"`{one.name}`", times, counts, entity, action, numbers))
    titles = ("Stream", "Time", "Counted", "Entity (`only`)", "Default action", "Numbers")
    return _table(titles, lines)


def setting_table(settings: dict[str, Rule]) -> str:
    """One line for each setting."""
    if not settings:
        return "\nThere are no settings yet.\n"
    lines = [
        (f"`{name}`", _type(rule), _default(rule), _allowed(rule), rule["description"])
        for name, rule in settings.items()
    ]
    return _table(("Setting", "Type", "Default", "Allowed", "Description"), lines)


def _type(rule: Rule) -> str:
    named = {"date_iso8601": "date or date-time", "options": "string", "decimal": "number"}
    text = named.get(kind(rule), kind(rule))
    if text == "array":
        text = f"array of {json_type(rule['items'])}s"
    notes = [word for word in ("secret", "required") if rule.get(word)]
    return ", ".join([text, *notes])


def _default(rule: Rule) -> str:
    return f"`{json.dumps(rule['default']).strip(chr(34))}`" if "default" in rule else ""


def _allowed(rule: Rule) -> str:
    if "enum" in rule:
        return ", ".join(f"`{value}`" for value in choices(rule))
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    return ", ".join(f"{word} {rule[name]}" for name, word in limits.items() if name in rule)


def _table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    cells = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in cells)


# YAML


def setting_list(settings: dict[str, Rule]) -> str:
    """The settings as Meltano wants them."""
    if not settings:
        return "settings: []"
    return "settings:\n" + "\n".join(_setting(name, rule) for name, rule in settings.items())


def _setting(name: str, rule: Rule) -> str:
    lines = [f"- name: {name}", f"  label: {rule.get('title', name)}"]
    lines.append(f"  kind: {meltano_kind(rule)}")
    if rule.get("secret"):
        lines.append("  sensitive: true")
    if "default" in rule:
        lines.append(f"  value: {json.dumps(rule['default']).strip(chr(34))}")
    one_of = ", ".join(choices(rule))
    said = rule["description"] + (f" One of {one_of}." if one_of else "")
    told = textwrap.wrap(said, 90, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*lines, "  description: >-", *(f"    {line}" for line in told)])


def _content(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
