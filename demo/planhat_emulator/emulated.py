"""Knows what an emulator consists of, for the parts of it that serve."""

from typing import Protocol

from planhat_emulator.faults import Faults
from planhat_emulator.journal import Journal
from planhat_emulator.quota import Quota
from planhat_emulator.requests_log import Requests
from planhat_emulator.tokens import Tokens
from planhat_emulator.world import World


class Emulated(Protocol):
    """An emulator of one tenant; its hosts differ by `analytics_port`."""

    url: str
    analytics_url: str
    analytics_port: int
    world: World
    tokens: Tokens
    faults: Faults
    calls: Requests
    quota: Quota
    journal: Journal
