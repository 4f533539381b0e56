"""Knows what time it is in the emulated world, as every emulator does."""

from emulation.clock import Clock, format_moment, parse_moment

__all__ = ["Clock", "format_moment", "parse_moment"]
