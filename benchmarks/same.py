"""Whether taps wrote the same records for the same rows; a program, to keep its caller small."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

Records = dict[t.Any, dict[str, t.Any]]


class DifferentError(Exception):
    """What is different."""


def records(file: Path) -> Records:
    """Read what a tap wrote of its one stream: records by key, without the time of the read."""
    found: Records = {}
    key = ""
    with file.open("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if message["type"] == "SCHEMA":
                (key,) = message["key_properties"]
            elif message["type"] == "RECORD":
                record = message["record"]
                record.pop("read_at", None)
                if record[key] in found:
                    raise DifferentError(f"{file.stem}: a row came twice")
                found[record[key]] = record
    return found


def compare(rows: int, files: list[Path]) -> None:
    """Expect a record for each of so many rows, and the same ones in all files.

    Raises:
        DifferentError: they differ.
    """
    first, *others = files
    expected = records(first)
    if len(expected) != rows:
        raise DifferentError(f"{first.stem}: {len(expected)} records of {rows} rows")
    for file in others:
        if records(file) != expected:
            raise DifferentError(f"{file.stem}: its records are not those of {first.stem}")


if __name__ == "__main__":
    try:
        compare(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    except DifferentError as error:
        sys.exit(str(error))
