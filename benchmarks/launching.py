"""A small program that runs another one and says what it took.

A program's peak memory is never said to be below that of the process that it was started from: so
this one starts it, and imports next to nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Run the command behind the first argument, a file descriptor, to which its usage goes."""
    descriptor, *command = sys.argv[1:]
    began = time.monotonic()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    said = {
        "wall": time.monotonic() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss / 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    os.write(int(descriptor), json.dumps(said).encode())


if __name__ == "__main__":
    main()
