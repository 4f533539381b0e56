"""`./do dev loaders [NAME…]`: the demo's streams through loaders from PyPI, a line for each."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import typing as t
from contextlib import ExitStack
from pathlib import Path

from with_demo.postgres import embedded_postgres

from tests.loaders.buckets import bucket_server
from tests.loaders.messages import runs
from tests.loaders.running import verdict
from tests.loaders.table import LOADERS

if t.TYPE_CHECKING:
    from tests.loaders.running import Verdict


def main(names: list[str]) -> int:
    """Run those that are named, all by default; 1 if one does not work in any format."""
    unknown = set(names) - {loader.name for loader in LOADERS}
    if unknown:
        print(f"No such loader: {', '.join(sorted(unknown))}", file=sys.stderr)  # noqa: T201
        return 2
    chosen = [loader for loader in LOADERS if not names or loader.name in names]
    logging.disable()  # the tap's own lines; the loaders' stay in their processes
    given = {form: runs(form) for form in ("nested", "flat")}
    with ExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="loaders ")))
        server = open_.enter_context(embedded_postgres(folder / "postgres"))
        services = {
            "host": server.host,
            "port": str(server.port),
            "user": server.user,
            "password": server.password,
            "database": server.database,
            "s3": open_.enter_context(bucket_server()),
        }
        for loader in chosen:
            for form in loader.formats:
                start = time.monotonic()
                services["schema"] = f"{loader.name}_{form}".replace("-", "_")
                with server.connect() as connection:
                    # some loaders want it to be there
                    connection.execute(f"create schema {services['schema']}".encode())
                found = verdict(loader, given[form], folder / loader.name / form, services)
                took = time.monotonic() - start
                print(_line(f"{loader.name} {loader.version}", form, took, found), flush=True)  # noqa: T201
    return 0


def _line(name: str, form: str, took: float, found: Verdict) -> str:
    if found.problems:
        said = f"fails: {found.problems[0]}"
        more = len(found.problems) - 1
        said += f" (and {more} more)" if more else ""
    else:
        said = "works, " + ("merges by key" if found.merges else "appends")
        said += ", marks deletions" if found.marks else ", does not mark deletions"
        if found.lacks:
            said += f", lacks {len(found.lacks)} columns"
            said += " such as " + found.lacks[0]
    return f"{name:36} {form:7} {took:5.1f} s  {said}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
