"""What the log of a run says: the tap's last line of each stream, as figures; and its troubles."""

from __future__ import annotations

import json
import typing as t

_COUNTS = ("rows", "windows", "calls", "retries", "throttled", "bytes", "seconds")
_TROUBLE = ("warning", "error", "critical")


class Log:
    """Takes the lines of `meltano --log-format=json`, one after the other.

    streams   per stream: status, rows, windows, calls, retries, throttled, bytes, seconds and
              freshness_seconds, as docs/event-streams.md has them
    problem   the last error, or the last line that is not JSON; empty if there was none
    """

    def __init__(self) -> None:
        self.streams: dict[str, dict[str, t.Any]] = {}
        self.problem = ""
        self._error = ""

    def take(self, line: str) -> str | None:
        """Take one line; return what of it is worth a look: warnings, errors, ends of streams."""
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            if line.strip() and not self._error:
                self.problem = line.strip()
            return None
        event, level = str(said.get("event", "")), said.get("level")
        if level in {"error", "critical"}:
            self._error = self.problem = _telling(event)
        stream, status = said.get("stream_name"), said.get("status")
        if stream and status:
            self.streams[str(stream)] = {
                name: said.get(name) for name in ("status", *_COUNTS, "freshness_seconds")
            }
            return event
        return f"{level}: {event}" if level in _TROUBLE else None

    def total(self, count: str) -> float:
        """Sum of a count over all streams."""
        return sum(each.get(count) or 0 for each in self.streams.values())


def _telling(event: str) -> str:
    """Find the line that says what is wrong: Meltano puts the tap's log into its own error."""
    lines = [line.strip() for line in event.splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("level") in {"error", "critical"}:
            return str(said.get("message"))
    return lines[0] if lines else "an error"
