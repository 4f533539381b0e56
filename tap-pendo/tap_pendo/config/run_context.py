"""What all streams of one run share: settings, client, clock, stop flag, and how it ends."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import typing as t
from datetime import timedelta

from tap_pendo.api import queries
from tap_pendo.calendar import EPOCH
from tap_pendo.records import fields

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tap_pendo.api.client import PendoClient
    from tap_pendo.config.settings import Settings
    from tap_pendo.errors import TapError
    from tap_pendo.metrics import Traffic

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
    earliest_stamp: datetime = EPOCH
    """No `read_at` is before those of this run and of the state, whatever clock they are from."""
    clock: Callable[[], float] = time.monotonic
    """Seconds, to measure speed."""
    _apps: tuple[int, ...] | None = None
    _asking: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    _stamping: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def stamp(self) -> datetime:
        """Give a read that begins now its `read_at`: none is earlier than one before it.

        Of two reads of a row, the one with the later stamp counts, and the clock may step back
        between them. Reads begin in several threads.
        """
        with self._stamping:
            self.earliest_stamp = max(self.now(), self.earliest_stamp)
            return self.earliest_stamp

    def read_until(self, moment: datetime) -> None:
        """Take note of a `read_at` of the state: those of this run are later."""
        with self._stamping:
            after = moment + timedelta(milliseconds=1)
            self.earliest_stamp = max(self.earliest_stamp, after)

    def apps(self, traffic: Traffic | None = None) -> tuple[int, ...]:
        """Ids of the apps that the key sees, asked once a run.

        Raises:
            StreamError: Pendo cannot say, or does not allow it.
            TapError: the key is refused.
        """
        with self._asking:
            if self._apps is None:
                rows = self.client.all_rows(queries.whole("apps"), traffic)
                ids = map(_app_id, rows)
                self._apps = tuple(sorted(app_id for app_id in ids if app_id is not None))
            return self._apps

    def asked_apps(
        self, apps: Sequence[int], agents: Sequence[str], traffic: Traffic | None = None
    ) -> Sequence[int]:
        """Apps that a request names: these, or those of the settings, or else none for all.

        With AI agents each app has to be named.

        Raises:
            StreamError: Pendo cannot say which apps there are.
        """
        named = apps or self.settings.app_ids
        return named or (self.apps(traffic) if agents else ())

    def exit_if_stopped(self) -> None:
        """End the process's work if a signal asked for it; what is not finished is dropped."""
        if self.stop.is_set():
            raise SystemExit(self.stop_code)

    def skip(self, stream: str, reason: str) -> None:
        """Skip a stream that the key may not read."""
        logger.warning("%s is skipped: Pendo does not allow it to this key (%s)", stream, reason)
        self.skipped[stream] = reason

    def fail(self, stream: str, reason: str) -> None:
        """End a stream as failed; its bookmarks stay where they are."""
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


def _app_id(row: dict[str, t.Any]) -> int | None:
    try:
        return t.cast("int | None", fields.INTEGER.fit(row.get("id")))
    except fields.ConversionError:
        return None
