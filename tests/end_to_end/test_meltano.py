"""`meltano run tap-pendo target-postgres` beside the demo, in a project folder with a space."""

from __future__ import annotations

import typing as t

from tests.end_to_end.meltano import MELTANO, arrived, run

if t.TYPE_CHECKING:
    from pathlib import Path


def test_a_first_run_and_checks(folder: Path) -> None:
    pipe = (*MELTANO, "run", "tap-pendo", "target-postgres")
    first = run(folder, *pipe)
    assert first.returncode == 0, first.stdout + first.stderr
    rows = arrived(first.stdout)
    assert len(rows) == 18
    assert {verdict for _, _, verdict in rows.values()} == {"equal"}
    assert all(now == new > 0 for now, new, _ in rows.values())

    tested = run(folder, *MELTANO, "config", "test", "tap-pendo")
    assert "Plugin configuration is valid" in tested.stdout + tested.stderr
    checked = run(folder, *MELTANO, "invoke", "tap-pendo", "--test")
    assert "Aggregation is allowed." in checked.stdout
    refused = run(folder, *pipe, TAP_PENDO_TIMEZONE="Mars/xyzzy")
    assert refused.returncode == 1
    told = refused.stdout + refused.stderr
    assert "setting `timezone` must be an IANA name" in told
    assert "xyzzy" not in told
