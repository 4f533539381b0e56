"""The maps of docs/privacy.md: nobody is named in what leaves the tap, and ids still match."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
import typing as t
from collections import Counter
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from pendo_emulator.server import serve
from pendo_emulator.world import World

from tests.conftest import NOW
from tests.end_to_end.meltano import project

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from pendo_emulator.server import Emulator

    from tests.conftest import Output, TapRunner, Warehouse

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "privacy.md").read_text()
PLUGIN, FAKE = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
MAPS = yaml.safe_load(PLUGIN)[0]["config"]
JOIN, PERSON = re.findall(r"```sql\n(.*?)```", DOC, re.DOTALL)
SALT = "a salt for tests"
ADDRESS = re.compile(r"@|\b\d{1,3}(\.\d{1,3}){3}\b")
# one asks for each visitor and day, the other is refused without the ids of agents
LEFT_OUT = {"visitor_history", "agentic_events"}


@pytest.fixture
def pendo() -> Iterator[Emulator]:
    """Serve a Pendo with fewer people than in other tests: everything is read of it, twice."""
    with serve(World(events_per_day=250, visitors=300, accounts=40)) as emulator:
        emulator.clock.set(NOW.isoformat())
        yield emulator


def hashed(visitor: str) -> str:
    return hashlib.sha256(f"{SALT}{visitor}".encode()).hexdigest()


def settings(config: dict[str, t.Any]) -> dict[str, t.Any]:
    return json.loads(json.dumps(config).replace("$PRIVACY_SALT", SALT))


def leaves(value: t.Any) -> Iterator[t.Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def read(tap: TapRunner, *streams: str, **config: t.Any) -> Output:
    select = streams or tuple(set(tap.tap().streams) - LEFT_OUT)
    return tap.run(select=select, **config)


def test_nobody_is_named_in_any_stream_and_every_row_is_there(tap: TapRunner) -> None:
    plain = read(tap)
    output = read(tap, **settings(MAPS))
    assert tap.exit_code == 0
    visitors = {row["visitor_id"] for row in plain.records("visitors")}
    # some ids are odd on purpose, and accounts and features have the same
    others = {row["account_id"] for row in plain.records("accounts")}
    others |= {row["name"] for row in plain.records("features")}
    ids = {each for each in visitors - others if len(each) > 4}
    assert len(ids) > 200
    named = {
        (message["stream"], leaf)
        for message in output
        if message["type"] == "RECORD"
        for leaf in leaves(message["record"])
        if isinstance(leaf, str) and (leaf in ids or ADDRESS.search(leaf))
    }
    assert named == set()
    # the same search finds them in what is not mapped
    found = {m["stream"] for m in plain if ids & set(map(str, leaves(m.get("record"))))}
    assert {"visitors", "feature_events", "segment_members", "visitor_applications"} <= found

    dropped = {name for name, maps in MAPS["stream_maps"].items() if maps == "__NULL__"}
    assert not dropped & {message.get("stream") for message in output}
    streams = {m["stream"] for m in plain if m["type"] == "RECORD"} - dropped
    assert len(streams) > 30
    for stream in streams:
        before = Counter(row.get("visitor_id") for row in plain.records(stream))
        after = Counter(row.get("visitor_id") for row in output.records(stream))
        assert after == {v and hashed(v): count for v, count in before.items()}, stream


def test_each_stream_with_ids_of_visitors_has_a_map() -> None:
    catalog = json.loads((ROOT / "tests" / "golden" / "catalog.json").read_text())
    maps = MAPS["stream_maps"]
    for entry in catalog["streams"]:
        columns, name = entry["schema"]["properties"], entry["tap_stream_id"]
        told = [each for pattern, each in maps.items() if fnmatch(name, pattern)]
        assert len(told) <= 1, f"{name}: only the last of several maps applies"
        if "visitor_id" in columns:
            assert told[0]["visitor_id"].startswith("sha256(config['salt'] + visitor_id)"), name
            assert told[0]["extra"] == "__NULL__", name
        if {"created_by_user", "last_updated_by_user", "owned_by_user"} & columns.keys():
            assert told[0]["created_by_user"] == told[0]["owned_by_user"] == "__NULL__", name


def test_schemas_have_no_dropped_column_and_a_row_keeps_its_identity(tap: TapRunner) -> None:
    output = read(tap, "feature_events", "visitors", **settings(MAPS))
    columns = {m["stream"]: m["schema"]["properties"] for m in output if m["type"] == "SCHEMA"}
    for message in output:
        if message["type"] == "RECORD":
            assert message["record"].keys() <= columns[message["stream"]].keys()
    assert not {"metadata", "extra", "remote_ip"} & {
        *columns["visitors"],
        *columns["feature_events"],
    }
    rows = output.records("feature_events")
    assert len({row["row_id"] for row in rows}) == len(rows)
    again = read(tap, "feature_events", **settings(MAPS)).records("feature_events")
    assert {row["row_id"] for row in again} == {row["row_id"] for row in rows}
    assert not {r["row_id"] for r in read(tap, "feature_events").records("feature_events")} & {
        row["row_id"] for row in rows
    }


def test_hashed_ids_join_in_postgresql(tap: TapRunner, warehouse: Warehouse) -> None:
    select = ("feature_events", "visitors", "visitor_accounts")
    plain = read(tap, *select)
    warehouse.load(read(tap, *select, **settings(MAPS)))
    roles = {
        row["visitor_id"]: (row["metadata"].get("agent") or {}).get("role")
        for row in plain.records("visitors")
    }
    uses: Counter[str | None] = Counter()
    people: dict[str | None, set[str]] = {}
    for row in plain.records("feature_events"):
        if (visitor := row["visitor_id"]) in roles:
            uses[roles[visitor]] += row["num_events"]
            people.setdefault(roles[visitor], set()).add(visitor)
    assert len(uses) > 1

    found = warehouse.rows(JOIN.replace("tap_pendo.", ""))
    assert {role: (n, int(total)) for role, n, total in found} == {
        role: (len(people[role]), total) for role, total in uses.items()
    }
    visitor, count = Counter(r["visitor_id"] for r in plain.records("feature_events")).most_common(
        1
    )[0]
    quoted = "'" + visitor.replace("'", "''") + "'"
    sql = PERSON.replace("tap_pendo.", "").replace(":salt", f"'{SALT}'")
    assert warehouse.rows(sql.replace(":visitor", quoted)) == [(count,)]


def test_an_invented_name_is_always_the_same_for_a_visitor(tap: TapRunner) -> None:
    first = read(tap, "visitors", **settings(yaml.safe_load(FAKE))).records("visitors")
    second = read(tap, "visitors", **settings(yaml.safe_load(FAKE))).records("visitors")
    names = {row["visitor_id"]: row["full_name"] for row in first}

    assert names == {row["visitor_id"]: row["full_name"] for row in second}
    assert len(set(names.values())) > len(names) / 2
    assert all(re.fullmatch(r"[\w .'-]+", name) for name in names.values())


def test_meltano_takes_the_maps_and_the_salt_from_env(tmp_path: Path) -> None:
    folder = project(tmp_path)
    text = (folder / "meltano.yml").read_text()
    # as the page says, below `extractors`
    added = textwrap.indent(PLUGIN, "  ")
    (folder / "meltano.yml").write_text(text.replace("\n  loaders:\n", f"\n{added}\n  loaders:\n"))
    (folder / ".env").write_text(f"PRIVACY_SALT={SALT}\n")
    scripts = Path(sys.executable).parent
    with serve(World(events_per_day=50, visitors=100)) as pendo:
        done = subprocess.run(
            [scripts / "meltano", "--log-level=error", "invoke", "tap-pendo-hashed"],
            cwd=folder,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
                "TAP_PENDO_HASHED_START_DATE": str(datetime.now(timezone.utc).date()),
                "TAP_PENDO_HASHED_API_URL": pendo.url,
                "TAP_PENDO_HASHED_INTEGRATION_KEY": pendo.key,
            },
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        now = pendo.clock.now()
        visitors = {row["visitorId"] for row in pendo.world.visitors(now, identified=True)}
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"type"')]
    found = {
        m["record"]["visitor_id"]
        for m in messages
        if m.get("stream") == "visitors" and m["type"] == "RECORD"
    }
    assert found == {hashed(visitor) for visitor in visitors}
