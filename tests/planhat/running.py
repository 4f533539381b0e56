"""Runs target-planhat in this process against the emulated Planhat, and makes its input."""

from __future__ import annotations

import contextlib
import io
import json
import typing as t
from datetime import datetime, timedelta, timezone

from target_planhat.errors import TargetError
from target_planhat.target import TargetPlanhat

from tests.planhat.promises import Log, assert_adds_up, assert_shows_nobody, parsed

if t.TYPE_CHECKING:
    from pathlib import Path

    from planhat_emulator.server import Emulator

Record = dict[str, t.Any]
Message = dict[str, t.Any]
NOW = datetime(2026, 3, 11, 12, 30, tzinfo=timezone.utc)


def iso(moment: datetime) -> str:
    """Write a moment as tap-pendo does."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def schema(stream: str, *names: str, key: tuple[str, ...] = ()) -> Message:
    """Make a SCHEMA with properties of any type."""
    properties: Record = {name: {} for name in names}
    told = {"type": "object", "properties": properties}
    return {"type": "SCHEMA", "stream": stream, "schema": told, "key_properties": list(key)}


def record(stream: str, /, **fields: t.Any) -> Message:
    """Make a RECORD."""
    return {"type": "RECORD", "stream": stream, "record": fields}


def state(value: t.Any) -> Message:
    """Make a STATE."""
    return {"type": "STATE", "value": value}


WINDOWS = schema("sync_windows", "stream", "window_start", "window_end", "app_ids", "read_at")
FEATURES = (
    schema("features", "id", "name"),
    record("features", id="f1", name="Export"),
    record("features", id="f2", name="Search"),
    {"type": "ACTIVATE_VERSION", "stream": "features", "version": 1},
)
EVENTS = schema(
    "feature_events",
    *("row_id", "visitor_id", "account_id", "app_id", "feature_id", "hour", "day"),
    *("num_events", "num_minutes", "read_at"),
)


def event(
    hour: datetime,
    visitor: str = "u2",
    count: int = 1,
    *,
    account: str = "acme",
    feature: str = "f1",
    app: int = 1,
    read: datetime = NOW,
    **more: t.Any,
) -> Message:
    """Make a row of feature_events."""
    fields = {
        "visitor_id": visitor,
        "account_id": account,
        "app_id": app,
        "feature_id": feature,
        "hour": iso(hour),
        "num_events": count,
        "read_at": iso(read),
    }
    return record("feature_events", **{**fields, **more})


def window(
    start: datetime,
    end: datetime,
    read: datetime = NOW,
    app_ids: str = "*",
    stream: str = "feature_events",
) -> Message:
    """Make the row of a complete read."""
    return record(
        "sync_windows",
        stream=stream,
        window_start=iso(start),
        window_end=iso(end),
        app_ids=app_ids,
        read_at=iso(read),
    )


def day(number: int, hour: int = 0) -> datetime:
    """Give an hour of a day of March 2026."""
    return datetime(2026, 3, number, tzinfo=timezone.utc) + timedelta(hours=hour)


class TargetRunner:
    """Runs the target on one ledger; each run keeps `states`, `report`, `log`, `error` if any.

    Whatever a test is about, each run's figures must add up, and show nobody.
    """

    def __init__(self, planhat: Emulator, folder: Path) -> None:
        self.planhat, self.folder = planhat, folder
        self.now = NOW
        self.config: Record = {
            "tenant_token": planhat.tenant_token,
            "api_token": planhat.api_token,
            "api_url": planhat.url,
            "analytics_url": planhat.analytics_url,
            "ledger_url": f"sqlite:///{folder / 'ledger.db'}",
            "report_path": str(folder / "reports"),
            "rejects_path": str(folder / "rejects.jsonl"),
            "settle_hours": 0,
        }
        self.states: list[t.Any] = []
        self.report: Record = {}
        self.error: str | None = None
        self.log = Log()

    def target(self, **settings: t.Any) -> TargetPlanhat:
        """Make a target; a setting that is None is left out."""
        config = {**self.config, **settings}
        return TargetPlanhat(config={k: v for k, v in config.items() if v is not None})

    def run(self, *messages: Message, text: str | None = None, **settings: t.Any) -> Record:
        """Run to the end; give the report."""
        lines = text if text is not None else "".join(json.dumps(m) + "\n" for m in messages)
        self.error = None
        latest = [self.folder / "reports" / f"latest.{kind}" for kind in ("json", "html")]
        for file in latest:
            file.unlink(missing_ok=True)
        out, err = io.StringIO(), io.StringIO()
        with Log() as self.log, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                self.target(**settings).listen(io.StringIO(lines))
            except TargetError as error:
                self.error = error.message
        self.states = [json.loads(line) for line in out.getvalue().splitlines()]
        written = [file.read_text() for file in latest if file.exists()]
        self.report = json.loads(written[0]) if written else {}
        given = parsed(lines)
        shown = [*self.log.lines, self.error or "", err.getvalue(), out.getvalue()]
        secrets = [self.planhat.tenant_token, self.planhat.api_token]
        assert_shows_nobody(shown, secrets, given)
        assert_shows_nobody(written, secrets, given, companies=True)
        if self.report:
            assert_adds_up(self.report, given)
        return self.report

    @property
    def rejects(self) -> list[Record]:
        """The lines of the file of rejects."""
        lines = (self.folder / "rejects.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    @property
    def sums(self) -> dict[tuple[str, str | None, str], float]:
        """What Planhat has of activities: {(id, action, day): count}."""
        return self.planhat.world.activity_sums()
