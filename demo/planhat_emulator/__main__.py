"""Knows the command line: `planhat-emulator` serves one tenant until it is stopped."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from emulation.clock import format_moment
from emulation.serving import until_told_to_stop

from planhat_emulator import analytics, rest
from planhat_emulator.answers import Call
from planhat_emulator.journal import Happening, Journal, journal_of
from planhat_emulator.knobs import Knobs
from planhat_emulator.refusals import Refused
from planhat_emulator.server import Emulator, running
from planhat_emulator.store import MODELS
from planhat_emulator.world import World


def lived_through(happenings: Sequence[Happening]) -> World:
    """Return the tenant to which all that has happened; its clock stands at the last of it.

    Raises:
        ValueError: for what cannot have happened.
    """
    world = World(nonce=happenings[0].born)
    for number, happening in enumerate(happenings, 1):
        try:
            _happen(world, happening)
        except (Refused, ValueError, LookupError, TypeError, AttributeError):
            raise ValueError(f"what line {number} says cannot have happened") from None
    return world


def _happen(world: World, happening: Happening) -> None:
    world.clock.set(happening.at)
    if happening.knobs is not None:
        world.knobs = msgspec.convert(happening.knobs, Knobs)
    if happening.seeds is not None:
        world.seed(**happening.seeds)
    if happening.call is not None:
        call = Call(*happening.call, {}, happening.body, spoilt=happening.spoilt)
        of_analytics = call.verb == "POST" and call.path in analytics.PATHS
        (analytics if of_analytics else rest).answer(world, call)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="planhat-emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="of REST; 0 takes a free one")
    parser.add_argument("--analytics-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--now", help="stop the clock at this ISO 8601 time")
    parser.add_argument("--key", help="the api token; a random one if not given")
    parser.add_argument("--tenant-token", help="a random UUID if not given")
    for path in MODELS:
        parser.add_argument(f"--{path}", type=int, default=0, help=f"how many {path} there are")
    parser.add_argument("--seed-file", type=Path, help="JSON: arrays of objects by model's path")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"set one of {', '.join(Knobs.__struct_fields__)}",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help='order a fault, such as \'{"kind": "status", "status": 429, "path": "/endusers"}\'',
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="write down what happens in this file, and begin where it ends; objects are then "
        "made and seeded only if it has none yet",
    )
    parser.add_argument("--url-file", type=Path, help="write the URL of REST into this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Prints one JSON line when ready: url, key, analytics_url, tenant_token, now.
    """
    options = _arguments(arguments)
    with ExitStack() as opened:
        try:
            emulator = _emulator(options, opened)
        except (ValueError, OSError) as error:
            sys.stderr.write(f"planhat-emulator: {error}\n")
            return 2
        stop = until_told_to_stop()
        with running(emulator, options.host, options.port, options.analytics_port):
            _announce(emulator, options.url_file)
            stop.wait()
    return 0


def _emulator(options: argparse.Namespace, opened: ExitStack) -> Emulator:
    happened: list[Happening] = []
    journal = Journal()
    if options.state:
        happened, journal = opened.enter_context(journal_of(options.state))
    world = lived_through(happened) if happened else _born(journal)
    world.clock.run()
    if options.now:
        world.clock.set(options.now)
    if options.knob:
        world.knobs = _knobs(world.knobs, options.knob)
        knobs = msgspec.to_builtins(world.knobs)
        journal.note(Happening(world.clock.now(), knobs=knobs))
    if all(one.seeds is None for one in happened):
        _seed(world, options, journal)
    emulator = Emulator(world, options.key, options.tenant_token, journal)
    emulator.faults.add(*(json.loads(fault) for fault in options.fault))
    return emulator


def _born(journal: Journal) -> World:
    world = World()
    journal.note(Happening(world.clock.now(), born=world.store.nonce))
    return world


def _seed(world: World, options: argparse.Namespace, journal: Journal) -> None:
    given = {}
    if options.seed_file:
        given = json.loads(options.seed_file.read_text(encoding="utf-8"))
    for seeds in (given, {path: getattr(options, path) for path in MODELS}):
        world.seed(**seeds)
        journal.note(Happening(world.clock.now(), seeds=seeds))


def _knobs(knobs: Knobs, orders: Sequence[str]) -> Knobs:
    """Return knobs as `NAME=VALUE` changes them; a value is JSON, or else a text."""
    values = msgspec.to_builtins(knobs)
    for order in orders:
        name, _, text = order.partition("=")
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return msgspec.convert(values, Knobs)


def _announce(emulator: Emulator, url_file: Path | None) -> None:
    if url_file:
        url_file.write_text(emulator.url + "\n", encoding="utf-8")
    ready = {
        "url": emulator.url,
        "key": emulator.api_token,
        "analytics_url": emulator.analytics_url,
        "tenant_token": emulator.tenant_token,
        "now": format_moment(emulator.clock.now()),
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
