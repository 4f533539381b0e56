"""The embedded PostgreSQL: it starts from any state of its folder, or says why it does not."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from with_demo import postgres
from with_demo.postgres import embedded_postgres
from with_demo.processes import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Demo

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
NOBODY = 65534


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as a run leaves it, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    with embedded_postgres(folder):
        pass
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A data folder with a cluster, in a path with a space and a quote."""
    return shutil.copytree(made, tmp_path / "it's my" / "data")


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_cluster_keeps_its_data_and_its_password(tmp_path: Path) -> None:
    data = tmp_path / "not yet" / "there it's"
    with embedded_postgres(data) as server, server.connect() as connection:
        connection.execute("create table kept as select 'ü' as value")
        connection.commit()
        shown = connection.execute("show timezone").fetchone()
    with embedded_postgres(data) as again, again.connect() as connection:
        kept = connection.execute("select value from kept").fetchall()

    assert (shown, kept) == (("UTC",), [("ü",)])
    assert server.password == again.password
    assert server.password not in repr(server)
    assert (data / "password").stat().st_mode & 0o777 == 0o600
    assert not accepts(server.port)


def test_its_environment_is_what_target_postgres_reads(data: Path) -> None:
    with embedded_postgres(data) as server:
        given = server.environment()
        parts = ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")
        host, port, user, password, database = (given[f"TARGET_POSTGRES_{x}"] for x in parts)
        url = f"postgresql://{user}:{password}@{host}:{port}/{database}"
        psycopg.connect(url).close()

        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(password, "another"))


def test_variables_for_other_servers_do_not_matter(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGSSLMODE": "require", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)

    with embedded_postgres(data) as server:
        server.connect().close()


def test_an_interrupted_initdb_is_begun_anew(demo: Demo) -> None:
    unfinished = demo.data / "postgres" / "cluster.new"
    process = demo.start("true")
    demo.until((unfinished / "base").exists, "initdb is at work")
    process.kill()
    process.wait()
    assert not (demo.data / "postgres" / "cluster").exists()

    assert demo.run("true").returncode == 0
    assert not unfinished.exists()


def test_what_a_kill_9_leaves_behind_does_not_matter(demo: Demo, made: Path) -> None:
    data = shutil.copytree(made, demo.data / "postgres")
    process = demo.start("sh", "-c", "touch ready; read line")
    demo.until(demo.stamp("ready").exists, "COMMAND runs")
    pidfile = data / "cluster" / "postmaster.pid"
    postmaster = int(pidfile.read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    process.kill()
    process.communicate()  # and COMMAND reads the end of its input
    # its process id now belongs to somebody else, as after a restart of a container
    pidfile.write_text(pidfile.read_text().replace(str(postmaster), str(os.getpid()), 1))

    assert demo.run("true").returncode == 0


def test_a_second_run_on_the_same_folder(demo: Demo, made: Path) -> None:
    shutil.copytree(made, demo.data / "postgres")
    first = demo.start("sh", "-c", "touch ready; read line")
    demo.until(demo.stamp("ready").exists, "COMMAND runs")

    second = demo.start("touch", "second")

    _, said = second.communicate(timeout=30)
    data = demo.data.resolve() / "postgres"
    assert said == f"with-demo: another run is using {data}: wait for it, or take --data\n"
    assert second.returncode == 1
    assert not demo.stamp("second").exists()
    assert demo.finish(first, "go on\n").returncode == 0


def test_a_broken_cluster(demo: Demo, made: Path) -> None:
    data = shutil.copytree(made, demo.data / "postgres")
    shutil.rmtree(data / "cluster" / "global")

    result = demo.run("touch", "ran")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("with-demo: PostgreSQL did not start: ")
    assert "could not open file" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not demo.stamp("ran").exists()


def break_password(data: Path) -> None:
    (data / "password").write_text("another")


def remove_password(data: Path) -> None:
    (data / "password").unlink()


def empty_cluster(data: Path) -> None:
    shutil.rmtree(data / "cluster")
    (data / "cluster").mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (break_password, "PostgreSQL refuses us: .*password authentication failed"),
        (remove_password, "cannot read .*password: No such file or directory; remove "),
        (empty_cluster, "PostgreSQL did not start: .*cluster"),
    ],
)
def test_a_spoilt_folder(data: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(data)

    with pytest.raises(StartError, match=message), embedded_postgres(data):
        pass

    assert not in_use(data)


def in_use(data: Path) -> bool:
    """Whether a process still has the folder's lock: with-demo's, or the server's."""
    with (data / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_port_that_was_taken_in_between(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as fake:
        fake.bind(("127.0.0.1", 0))
        monkeypatch.setattr(postgres, "free_port", lambda: fake.getsockname()[1])

        with (
            pytest.raises(StartError, match=r"did not start: .*could not create any TCP"),
            embedded_postgres(data),
        ):
            pass

    assert not in_use(data)


def test_a_port_that_another_postgresql_has(
    data: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded_postgres(made) as other:
        monkeypatch.setattr(postgres, "free_port", lambda: other.port)
        monkeypatch.setattr(postgres, "_password", lambda *_: "not the other's")

        with pytest.raises(StartError, match="could not create any TCP"), embedded_postgres(data):
            pass


def test_readiness_that_does_not_come_in_time(data: Path) -> None:
    with (
        pytest.raises(StartError, match=r"PostgreSQL is not ready after -1 s: .*\(see .*log\)"),
        embedded_postgres(data, patience=-1),
    ):
        pass

    assert not in_use(data)


def test_what_check_raises_ends_the_start(tmp_path: Path) -> None:
    def check() -> None:
        if (tmp_path / "cluster.new" / "base").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), embedded_postgres(tmp_path, check=check):
        pass

    assert not in_use(tmp_path)


@as_root
def test_as_nobody_where_root_may_not_unshare(
    public_folder: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(made, public_folder / "my data")
    namespace = postgres._NAMESPACE  # noqa: SLF001  (the system's refusal cannot be had otherwise)
    monkeypatch.setattr(postgres, "_NAMESPACE", ("false",))
    if not postgres._runner().user:  # noqa: SLF001  (see above)
        pytest.skip("nobody cannot read this environment")
    with embedded_postgres(data) as server:
        server.connect().close()
        assert (data / "cluster").stat().st_uid == NOBODY
    with embedded_postgres(public_folder / "fresh") as server:
        server.connect().close()
    monkeypatch.setattr(postgres, "_NAMESPACE", namespace)
    with embedded_postgres(data) as server:  # and back again
        server.connect().close()


@as_root
def test_where_root_has_no_way_at_all(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "runs", lambda *_: False)

    with pytest.raises(StartError, match=r"does not run as root, .* use another user"):
        embedded_postgres(data).__enter__()


def usable(python: str) -> bool:
    """Whether nobody can run this interpreter, and it is of our version."""
    script = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        done = subprocess.run([python, "-c", script], user=NOBODY, check=False, cwd="/")
    except OSError:
        return False
    return done.returncode == 0


@as_root
def test_another_user(demo: Demo, public_folder: Path) -> None:
    python = next((each for each in (sys.executable, "/usr/bin/python3") if usable(each)), None)
    if python is None:
        pytest.skip("no interpreter of this version that another user can run")
    demo.folder, demo.data = public_folder, public_folder / ".meltano" / "with-demo"
    os.chown(public_folder, NOBODY, NOBODY)
    demo.python, demo.user = [python], NOBODY
    demo.path += [str(Path(postgres.__file__).parents[1]), sysconfig.get_path("purelib")]

    result = demo.run("id", "-u")

    assert (result.returncode, result.stdout.splitlines()[0]) == (0, str(NOBODY))
    assert (demo.data / "postgres" / "cluster").stat().st_uid == NOBODY
