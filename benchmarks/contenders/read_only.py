"""A client that reads the same answers and drops them: how fast the server is by itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.contenders.bare_tap import answers


def main() -> None:
    """Read what the tap for `--config FILE` would read."""
    for answer, _ in answers(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))):
        for _ in answer.stream(1 << 20):
            pass


if __name__ == "__main__":
    main()
