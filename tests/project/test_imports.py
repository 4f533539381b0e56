"""What a plugin imports when it starts: Meltano starts each two or three times a run."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t

import pytest

STANDARD = sys.stdlib_module_names | {"__main__"}


def imported(statement: str) -> set[str]:
    """Give the modules that a Python of its own has after a statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return set(json.loads(ran.stdout))


def packages(modules: t.Iterable[str]) -> set[str]:
    """Give the packages that do not come with Python."""
    found = {name.partition(".")[0] for name in modules} - STANDARD
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize(
    ("plugin", "own"),
    [
        ("tap_pendo.tap", {"tap_pendo", "msgspec"}),
        (
            "target_planhat.target",
            {"target_planhat", "msgspec", "sqlalchemy", "greenlet", "markupsafe"},
        ),
    ],
)
def test_a_plugin_imports_little_besides_the_sdk(plugin: str, own: set[str]) -> None:
    sdk = imported("import singer_sdk")
    assert packages(imported(f"import singer_sdk, {plugin}") - sdk) - packages(sdk) <= own


def test_only_a_run_with_a_page_or_a_ledger_in_postgresql_imports_what_that_needs() -> None:
    there = imported("import target_planhat.target")
    assert there.isdisjoint({"jinja2", "psycopg"})
