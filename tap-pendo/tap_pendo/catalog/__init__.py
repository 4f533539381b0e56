"""THE TABLE: one row per Pendo object, in the order of a run.

A new list is one row in `definitions` and one shape in `schemas`. Source: pendo-api.md §9.
"""

from __future__ import annotations

import typing as t

from tap_pendo.catalog.definitions import DEFINED
from tap_pendo.catalog.events import EVENTS
from tap_pendo.catalog.people import PEOPLE
from tap_pendo.objects import SyncWindows

if t.TYPE_CHECKING:
    from tap_pendo.objects import Kind

CATALOG: tuple[Kind, ...] = (
    SyncWindows(name="sync_windows", about="Each complete read of a window of an event stream."),
    # what explains comes before what is explained
    *DEFINED,
    *PEOPLE,
    *EVENTS,
)
