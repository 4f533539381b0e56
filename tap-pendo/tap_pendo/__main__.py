"""The command `tap-pendo`, and `python -m tap_pendo`."""

from __future__ import annotations

import logging
import os
import sys

from tap_pendo.tap import TapPendo


def main() -> None:
    """Run the command line; a log level that does not exist would give a traceback of the SDK."""
    for name in ("TAP_PENDO_LOGLEVEL", "LOGLEVEL"):
        level = os.environ.get(name)
        if level:
            if not isinstance(logging.getLevelName(level.upper()), int):
                sys.exit(f"{name} must be one of debug, info, warning, error, critical")
            break
    TapPendo.cli()


if __name__ == "__main__":
    main()
