"""Eight processes on one ledger in PostgreSQL, some of them killed: Planhat has each thing once."""

from __future__ import annotations

import contextlib
import json
import threading
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from target_planhat.ledger.database import Database
from target_planhat.ledger.locks import Locks

from tests.planhat.kills import Process
from tests.planhat.promises import assert_adds_up, parsed
from tests.planhat.running import EVENTS, NOW, WINDOWS, day, event, record, schema, state, window
from tests.planhat.usage import (
    BOTH,
    COMPANIES,
    DAYS,
    NAMES,
    Place,
    held,
    ledger,
    settle_in,
)

if t.TYPE_CHECKING:
    import random

    from with_demo.postgres import Server

    from tests.planhat.running import Message, TargetRunner

WORKERS = 8
SEEDS = 40
VERSIONS = 6
# about as many as eight runs need together, the first two of each before it reads
CALLS = 36
_HOLDER = """
    select application_name from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and objsubid = 1 and granted
    and (classid::bigint << 32) | objid::bigint = %s
"""


def count_of(visitor: str, feature: str, date: int, version: int) -> int:
    """Say how often someone used a feature by a version of the truth; 0: there is no row."""
    base = 1 + int(visitor[1:]) + int(feature[1:]) + date
    if visitor == "u6" and version < 2:
        return 0  # a late row
    if (visitor, feature) == ("u4", "f2") and version > 3:
        return 0  # gone from Pendo
    if feature == "f3" and date == DAYS[1]:
        return base + VERSIONS - version  # Pendo counts less and less
    return base + version


def truth(version: int) -> dict[Place, float]:
    """What Planhat should have, if it had been told this version only."""
    found: dict[Place, float] = {}
    for account, visitors in COMPANIES.items():
        for visitor in visitors:
            for feature, name in NAMES.items():
                for date in DAYS:
                    count = count_of(visitor, feature, date, version)
                    label = f"2026-03-{date:02}"
                    for place in (
                        (visitor, name, label),
                        ("uses", "Company", account, label),
                        ("uses", "EndUser", visitor, label),
                    ):
                        found[place] = found.get(place, 0) + count
    return {place: count for place, count in found.items() if count}


def read(version: int, date: int, *, hour: bool = False) -> list[Message]:
    """Read a day, or the only hour of it in which something happens, as of a version."""
    at = NOW + timedelta(minutes=version)
    rows = [
        event(day(date, 8), visitor, count, account=account, feature=feature, read=at)
        for account, visitors in COMPANIES.items()
        for visitor in visitors
        for feature in NAMES
        if (count := count_of(visitor, feature, date, version))
    ]
    start = day(date, 8 * hour)
    end = start + timedelta(hours=1 if hour else 24)
    return [*rows, window(start, end, at), state({"version": version, "date": date})]


def messages(reads: list[tuple[int, int, bool]]) -> list[Message]:
    """Say reads as tap-pendo does."""
    told: list[Message] = [WINDOWS, schema("features", "id", "name"), EVENTS]
    told += [record("features", id=key, name=name) for key, name in NAMES.items()]
    for version, date, hour in reads:
        told += read(version, date, hour=hour)
    return told


@contextlib.contextmanager
def held_back(url: str, token: str, server: Server) -> t.Iterator[tuple[int, t.Callable[[], None]]]:
    """Let runs wait before they read anything.

    Gives the key of the lock of the run that delivers, and what lets all of them go at once.
    """
    database = Database(url, token)
    locks = Locks(database)
    assert locks.is_deserted()
    key = database.lock_key(locks._delivery)  # noqa: SLF001 - to see who holds it

    def go() -> None:
        waiting = "select count(*) from pg_locks where not granted"
        with server.connect() as connection:
            connection.autocommit = True
            while connection.execute(waiting).fetchone() != (WORKERS,):
                threading.Event().wait(0.05)
        database.close()

    try:
        yield key, go
    finally:
        database.close()


class Killing:
    """Kills processes at calls to Planhat, before they have their effect or after.

    The one that delivers is the victim, if it is one that may be killed.
    """

    def __init__(self, draw: random.Random, real: t.Callable[..., None], server: Server) -> None:
        self._draw, self._real, self._server = draw, real, server
        self._lock = threading.Lock()
        self._moments = sorted(draw.sample(range(2 * WORKERS + 1, CALLS), 4))
        self._calls = 0
        self.key = 0
        self.victims: dict[str, Process] = {}

    def note(self, entry: t.Any, body: bytes) -> None:
        """Heed a call, which has had no effect yet."""
        self._real(entry, body)
        with self._lock:
            self._calls += 1
            if self._moments and self._calls >= self._moments[0] and self.victims:
                self._moments.pop(0)
                late = self._draw.choice((0.0, self._draw.uniform(0, 0.1)))
                name = self._delivering() or next(iter(self.victims))
                threading.Timer(late, self.victims.pop(name).process.kill).start()

    def _delivering(self) -> str | None:
        with self._server.connect() as connection:
            found = connection.execute(_HOLDER, [self.key]).fetchone()
        return found[0] if found and found[0] in self.victims else None


@pytest.mark.some(1)
@pytest.mark.parametrize("draw", range(SEEDS), indirect=True)
def test_eight_workers_some_of_them_killed_send_everything_once(
    draw: random.Random,
    target: TargetRunner,
    ledger_in_postgres: str,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planhat = target.planhat
    settle_in(planhat.world)
    settings = {
        **BOTH,
        "in_doubt": draw.choice(("assume_sent", "resend")),
        "ledger_url": ledger_in_postgres,
    }
    places = [(v, d, hour) for v in range(VERSIONS) for d in DAYS for hour in (False, True)]
    inputs = [messages(draw.sample(places, draw.randint(4, 12))) for _ in range(WORKERS)]
    texts = ["".join(json.dumps(m) + "\n" for m in told).encode() for told in inputs]
    killing = Killing(draw, planhat.calls.note, postgres)
    own = {"rejects_path": None}
    with (
        held_back(ledger_in_postgres, planhat.tenant_token, postgres) as (killing.key, go),
        monkeypatch.context() as patch,
    ):
        patch.setattr(planhat.calls, "note", killing.note)
        running = [
            Process(
                target, name=f"worker{n}", **settings, **own, report_path=str(reports(target, n))
            )
            for n in range(WORKERS)
        ]
        killing.victims = {one.name: one for one in running[:4]}
        # one is killed in its input
        running[4].feed(texts[4][: draw.randrange(len(texts[4]))], end=False)
        for n in (*range(4), *range(5, WORKERS)):
            running[n].feed(texts[n])
        go()
        codes = [one.ended(300) for n, one in enumerate(running) if n != 4]
        running[4].process.kill()
        running[4].ended()
    logs = [one.log for one in running]
    assert set(codes) <= {0, -9}, logs
    assert codes[4:] == [0] * 3
    for n in range(5, WORKERS):
        report = json.loads((reports(target, n) / "latest.json").read_text())
        assert_adds_up(report, parsed(texts[n].decode()))

    # the next run reads all once more; what may have arrived late, has
    target.now = datetime.now(timezone.utc) + timedelta(minutes=30)
    target.run(*messages([(VERSIONS - 1, date, False) for date in DAYS]), **settings)
    assert target.error is None
    found, kept = held(planhat.world), ledger(ledger_in_postgres)
    versions = [truth(version) for version in range(VERSIONS)]
    assert {place: item.wanted for place, item in kept.items() if item.wanted} == versions[-1]
    assert found.keys() <= kept.keys()
    for place, item in kept.items():
        has, seen = found.get(place, 0), [one.get(place, 0) for one in versions]
        # the latest figure, or the highest that was sent before Pendo counted less
        assert item.claimed == 0
        assert seen[-1] <= item.sent <= max(seen)
        # and Planhat has it, but for what is listed as in doubt
        assert item.sent - item.doubt <= has <= item.sent + item.repeated, (place, item)
        if place[0] == "uses":
            assert item.doubt == item.repeated == 0, "points are read back"
    only = "doubt" if settings["in_doubt"] == "assume_sent" else "repeated"
    assert all(item.doubt + item.repeated == getattr(item, only) for item in kept.values())


def reports(target: TargetRunner, number: int) -> t.Any:
    """Give the folder for reports of a worker."""
    return target.folder / f"reports{number}"
