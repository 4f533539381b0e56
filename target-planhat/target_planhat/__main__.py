"""The command `target-planhat`, and `python -m target_planhat`."""

from __future__ import annotations

import logging
import os
import sys

from target_planhat.target import TargetPlanhat


def main() -> None:
    """Run the command line; a log level that does not exist would give a traceback of the SDK."""
    for name in ("TARGET_PLANHAT_LOGLEVEL", "LOGLEVEL"):
        level = os.environ.get(name)
        if level:
            if not isinstance(logging.getLevelName(level.upper()), int):
                sys.exit(f"{name} must be one of debug, info, warning, error, critical")
            break
    TargetPlanhat.cli()


if __name__ == "__main__":
    main()
