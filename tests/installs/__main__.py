"""`./do dev installs`: goes all ways to install, with each Python here, a line for each."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.installs.paths import PATHS, Source
from tests.installs.services import InstallError, services
from tests.installs.workplace import SCRIPTS, Workplace, pythons, repository, wheels


def main() -> int:
    """Go them all; 1 if one of them leads nowhere."""
    found, failed = pythons(), 0
    print(f"Python {', '.join(found)}", flush=True)  # noqa: T201 - the answer
    with tempfile.TemporaryDirectory(prefix="installs ") as made:
        folder = Path(made)
        source = Source(tuple(wheels(folder / "dist")), repository(folder / "repository"))
        with services(SCRIPTS, folder) as between:
            for version, python in found.items():
                for name, install in PATHS.items():
                    between.renew()
                    start = time.monotonic()
                    place = Workplace(folder / version / install.__name__, between.environment())
                    try:
                        install(place, python, source)
                        between.check()
                        verdict, why = "ok    ", ""
                    except InstallError as error:
                        failed += 1
                        verdict, why = "failed", f": {error}"
                    took = f"{version:4} {time.monotonic() - start:5.1f} s"
                    print(f"{verdict} {took}  {name}{why}", flush=True)  # noqa: T201 - the answer
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
