"""`./do dev loaders`: tries real loaders, a line for each; `--install` only makes environments."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from with_demo.postgres import embedded_postgres

from tests.loaders.loaders import LOADERS
from tests.loaders.matrix import LoaderError, environment, inputs, tried


def main(arguments: list[str]) -> int:
    """Try the loaders whose names hold one of the arguments, or all; 1 if one does not work."""
    wanted = [each for each in arguments if each != "--install"]
    names = [name for name in LOADERS if not wanted or any(each in name for each in wanted)]
    if "--install" in arguments:
        for name in names:
            environment(name)
        return 0
    given, failed = inputs(), 0
    with tempfile.TemporaryDirectory(prefix="loaders ") as made:
        folder = Path(made)
        with embedded_postgres(folder / "postgres") as server:
            for number, name in enumerate(names):
                place = folder / str(number)
                place.mkdir()
                begun = time.monotonic()
                verdict = "exact"
                try:
                    result = tried(name, given, place, server)
                    says = f"{'merges' if result.merges else 'appends'}; deleted rows are "
                    says += "marked or gone" if result.marks else "not marked"
                    if result.missing:
                        verdict, says = "WRONG", "; ".join(result.missing)
                except LoaderError as error:
                    verdict, says = "FAILS", str(error)
                failed += verdict != "exact"
                loader = LOADERS[name]
                head = f"{verdict:5}  {name}, {loader.needs[0]}, {loader.format}"
                took = time.monotonic() - begun
                print(f"{head}, {took:.0f} s: {says}", flush=True)  # noqa: T201 - the answer
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
