"""THE TABLE: one row per Pendo object, in the order of a run.

A new list is one row in `lists`, with its fields in `list_fields`.
"""

from __future__ import annotations

import typing as t

from tap_pendo.catalog.events import EVENTS
from tap_pendo.catalog.lists import DEFINED, PEOPLE
from tap_pendo.catalog.stream_specs import SyncWindowsSpec

if t.TYPE_CHECKING:
    from tap_pendo.catalog.stream_specs import StreamSpec

CATALOG: tuple[StreamSpec, ...] = (
    SyncWindowsSpec(
        name="sync_windows", about="Each complete read of a window of an event stream."
    ),
    # dimensions before the facts that refer to them
    *DEFINED,
    *PEOPLE,
    *EVENTS,
)
