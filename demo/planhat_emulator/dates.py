"""Dates that items carry."""

from typing import Any

from emulation.clock import parse_moment

DAY = 86_400_000  # ms
_END = 253_402_300_800_000  # ms; the year 10000
_MOST = 100_000  # dates that are remembered; items of one body share few


class Moments:
    """Reads dates, and remembers those that it has read: a million items have few."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def read(self, value: Any) -> int:
        """Return the epoch milliseconds of ISO 8601, or of epoch milliseconds.

        Raises:
            ValueError: for anything else.
        """
        if isinstance(value, str):
            known = self._known.get(value)
            return self._parse(value) if known is None else known
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _END:
            return value
        raise ValueError("no date")

    def _parse(self, text: str) -> int:
        if len(self._known) >= _MOST:
            self._known.clear()
        moment = self._known[text] = parse_moment(text)
        return moment
