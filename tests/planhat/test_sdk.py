"""The SDK's own suite for targets, against the emulated Planhat."""

from __future__ import annotations

import importlib.resources
import inspect
import typing as t

import pytest
from planhat_emulator.world import World
from singer_sdk import Target
from singer_sdk.testing import get_target_test_class, target_test_streams
from singer_sdk.testing.runners import TargetTestRunner
from target_planhat.target import TargetPlanhat

if t.TYPE_CHECKING:
    import io
    from pathlib import Path

    from planhat_emulator.server import Emulator


def snapshot(stream: str, value: str) -> dict[str, t.Any]:
    """Make a rule that takes a stream of the suite for snapshots of companies."""
    return {
        "stream": stream,
        "dimension_id": stream,
        "match": {"field": "id"},
        "value": value,
        "aggregate": "last",
        "date": "read_at",
    }


METRICS = [
    snapshot("test_duplicate_records", "metric"),
    snapshot("test_no_pk", "metric"),
    snapshot("test_schema_updates", "a1"),
    snapshot("test_record_missing_key_property", "metric"),
    snapshot("test_strings", "id"),
]


# what the target overrides or calls of the SDK; the names with _ may change in any version
SEAMS = (
    *("append_builtin_config", "cb_config", "get_singer_command", "invoke", "listen"),
    *("_validate_config", "_env_var_config", "_env_var_prefix", "_handle_termination"),
)


def test_the_sdk_has_what_the_target_overrides() -> None:
    lacking = [name for name in SEAMS if inspect.getattr_static(Target, name, None) is None]

    assert lacking == []


class Runner(TargetTestRunner):
    """Calls the target as its command line does; the SDK's own calls the halves of that."""

    def _execute_sync(
        self, target: Target, target_input: t.IO[str] | None, **_: t.Any
    ) -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
        def listen(lines: t.IO[str]) -> None:
            with lines:
                target.listen(lines)

        # the SDK's captures what is said while it calls these two
        target.process_lines, target.process_endofpipe = listen, lambda: None
        return super()._execute_sync(target, target_input)


@pytest.fixture
def runner(planhat: Emulator, tmp_path: Path) -> Runner:
    """Give the runner, and a Planhat whose companies are called 0, 1, 2 and so on."""
    planhat.renew(World())
    planhat.world.seed(companies=[{"externalId": str(n), "name": f"No. {n}"} for n in range(20)])
    config = {
        "tenant_token": planhat.tenant_token,
        "api_token": planhat.api_token,
        "api_url": planhat.url,
        "analytics_url": planhat.analytics_url,
        "ledger_url": f"sqlite:///{tmp_path / 'ledger.db'}",
        "settle_hours": 0,
        "metrics": METRICS,
    }
    return Runner(TargetPlanhat, config=config)


class TestTargetPlanhat(get_target_test_class(TargetPlanhat)):
    """The suite, but for what cannot be asked of a target that has no tables."""

    @pytest.fixture
    def runner(self, runner: Runner) -> Runner:
        """Give the runner that listens, in place of the suite's."""
        return runner

    @pytest.mark.skip(
        "key_properties mean nothing here: what a record is about is said by its rule, and one "
        "without that id is rejected and counted, as a test below shows"
    )
    def test_target_record_missing_key_property(self) -> None:
        """Expects an error of the SDK."""


def sent_by(runner: Runner, planhat: Emulator, name: str) -> dict[tuple[str, str], float]:
    """Run one of the suite's files; give what Planhat has: {(metric, company): value}."""
    files = importlib.resources.files(target_test_streams)
    runner.input_filepath = files / f"{name}.singer"
    runner.sync_all()
    return {(p.dimension_id, p.of["externalId"]): p.value for p in planhat.world.points()}


def test_of_duplicate_records_the_last_arrives(runner: Runner, planhat: Emulator) -> None:
    assert sent_by(runner, planhat, "duplicate_records") == {
        ("test_duplicate_records", "1"): 100,
        ("test_duplicate_records", "2"): 20,
    }


def test_records_of_changing_schemas_arrive(runner: Runner, planhat: Emulator) -> None:
    assert sent_by(runner, planhat, "schema_updates") == {
        ("test_schema_updates", str(n)): 100 + n for n in range(1, 7)
    }


def test_a_record_without_the_id_of_its_rule_is_rejected_and_counted(
    runner: Runner, planhat: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="target-planhat")

    assert sent_by(runner, planhat, "record_missing_key_property") == {}
    assert "1 rejected" in caplog.text
    assert "`id` is empty" in caplog.text
