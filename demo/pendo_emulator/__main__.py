"""Knows the command line: `pendo-emulator` serves one region until it is stopped."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from emulation.clock import Clock, format_moment
from emulation.serving import until_told_to_stop

from pendo_emulator.access import REGIONS, Key
from pendo_emulator.server import Emulator, running
from pendo_emulator.switches import SWITCHES
from pendo_emulator.world import ACCOUNTS, VISITORS, World


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = [one.name for one in SWITCHES]
    parser = argparse.ArgumentParser(prog="pendo-emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--now", help="stop the clock at this ISO 8601 time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events-per-day", type=float, default=250, help="raw feature events")
    parser.add_argument(
        "--visitors",
        type=_positive,
        default=VISITORS,
        help="identified ones (%(default)s); there are accounts in proportion",
    )
    parser.add_argument("--timezone", default="UTC", help="the subscription's, an IANA name")
    parser.add_argument("--region", choices=REGIONS, default="us")
    parser.add_argument("--key", help="the integration key; a random one if not given")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        choices=names,
        help=f"make it difficult, in one or several ways: {', '.join(names)}",
    )
    parser.add_argument("--url-file", type=Path, help="write the URL into this file")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; print one JSON line when ready: url, key, region, now."""
    options = _arguments(arguments)
    world = World(
        seed=options.seed,
        events_per_day=options.events_per_day,
        visitors=options.visitors,
        accounts=max(1, round(options.visitors * ACCOUNTS / VISITORS)),
        time_zone=options.timezone,
        clock=Clock(options.now),
    )
    emulator = Emulator(world, options.region)
    if options.key:
        emulator.keys.add(Key(options.key, options.region))
    emulator.arm(*options.fault)
    stop = until_told_to_stop()
    with running(emulator, options.host, options.port):
        _announce(emulator, options.key or emulator.key, options.url_file)
        stop.wait()
    return 0


def _announce(emulator: Emulator, key: str, url_file: Path | None) -> None:
    if url_file:
        url_file.write_text(emulator.url + "\n", encoding="utf-8")
    now = format_moment(emulator.clock.now())
    ready = {"url": emulator.url, "key": key, "region": emulator.region, "now": now}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
