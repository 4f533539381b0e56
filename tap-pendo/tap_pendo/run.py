"""What all streams of one run share: settings, client, clock, stop flag, and how it ends."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import typing as t
from datetime import timedelta

from tap_pendo import aggregation
from tap_pendo.schemas.lists import APPLICATION
from tap_pendo.windows import EPOCH

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tap_pendo.client import PendoClient
    from tap_pendo.errors import TapError
    from tap_pendo.settings import Settings
    from tap_pendo.traffic import Traffic

logger = logging.getLogger("tap-pendo")


@dataclasses.dataclass
class Run:
    """One run of the tap."""

    settings: Settings
    client: PendoClient
    now: Callable[[], datetime]
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    stop_code: int = 1
    """Exit code once `stop` is set: 128 + the signal's number."""
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    aborted: TapError | None = None
    read_before: datetime = EPOCH
    """The latest `read_at` in the state, whatever clock it is from."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, for what is said of the speed."""
    _apps: tuple[int, ...] | None = None
    _asking: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def stamp(self) -> datetime:
        """Give a read that begins now its `read_at`: later than any before, whatever the clock.

        Of two reads of a row, the one with the later stamp counts.
        """
        return max(self.now(), self.read_before + timedelta(milliseconds=1))

    def apps(self, traffic: Traffic | None = None) -> tuple[int, ...]:
        """Ids of the apps that the key sees, asked once a run.

        Raises:
            StreamError: Pendo cannot say, or does not allow it.
            TapError: the key is refused.
        """
        with self._asking:
            if self._apps is None:
                rows = self.client.all_rows(aggregation.whole("apps"), traffic)
                ids = (APPLICATION.record(row).get("id") for row in rows)
                self._apps = tuple(sorted(app_id for app_id in ids if app_id is not None))
            return self._apps

    def look(self) -> None:
        """End the process's work if a signal asked for it; what is not finished is dropped."""
        if self.stop.is_set():
            raise SystemExit(self.stop_code)

    def skip(self, stream: str, reason: str) -> None:
        """Pass over a stream that the key may not read."""
        logger.warning("%s is skipped: Pendo does not allow it to this key (%s)", stream, reason)
        self.skipped[stream] = reason

    def fail(self, stream: str, reason: str) -> None:
        """Give a stream up; its marks stay where they are."""
        logger.error("%s failed: %s", stream, reason)
        self.failed[stream] = reason

    def exit_code(self) -> int:
        """Log the last line of a run that had trouble, and say how the process ends."""
        if self.aborted:
            logger.error(self.aborted.message)
            return 1
        if self.skipped or self.failed:
            parts = [
                f"{word}: {', '.join(streams)}"
                for word, streams in (("skipped", self.skipped), ("failed", self.failed))
                if streams
            ]
            level = logging.ERROR if self.failed else logging.WARNING
            logger.log(level, "Run ended; %s", "; ".join(parts))
        return 1 if self.failed else 0
