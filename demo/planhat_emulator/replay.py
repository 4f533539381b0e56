"""Knows how a tenant lives through again what a journal has of it."""

from collections.abc import Sequence

import msgspec

from planhat_emulator import analytics, rest
from planhat_emulator.answers import Call
from planhat_emulator.journal import Happening
from planhat_emulator.knobs import Knobs
from planhat_emulator.refusals import Refused
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
