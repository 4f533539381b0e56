"""What a run ends with under each difficulty of the emulated Pendo, by kind of stream.

`end_to_end/test_faults.py` shows that it is so; `tools/docs/generate.py` writes a table from it.
"""

from __future__ import annotations

GROUPED = ("events", "page_events", "feature_events", "track_events")
SINGLE = ("guide_events", "poll_events")
PEOPLE = ("accounts", "account_applications", "visitors", "visitor_accounts")
DEFINITIONS = (
    *("features", "feature_element_path_rules"),
    *("guides", "guide_steps", "polls", "guide_step_polls"),
)

# kind of stream → the streams that stand for it, and the run in which they are read
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "definitions": ("hours", DEFINITIONS),
    "visitors, accounts": ("hours", PEOPLE),
    "events by hour": ("hours", GROUPED),
    "events by day": ("days", GROUPED),
    "single events": ("hours", SINGLE),
    "aggregation by day": ("hours", ("uses",)),
    "visitor history": ("history", ("visitor_history",)),
}

SKIPPED, FAILED, ENDED = "skipped", "failed", "the run ends"

# difficulty → how it is told, and the streams and kinds that wait for a run without it
REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    # a day that is one bucket is not asked for in parts
    "long-windows-time-out": (FAILED, ("events by day", "aggregation by day")),
    # who may have a history is asked of guideEvents too
    "forbidden-stream": (SKIPPED, ("guide_events", "visitor_history")),
    "key-revoked": (ENDED, tuple(KINDS)),
    "aggregation-down": (FAILED, tuple(kind for kind in KINDS if kind != "definitions")),
    "always-truncated": (FAILED, ("poll_events",)),
}


def told(switch: str) -> str:
    """Say how it is told that something is lacking; empty if nothing is."""
    return REFUSED.get(switch, ("", ()))[0]


def refused(switch: str, kind: str) -> tuple[str, ...]:
    """Name the streams of a kind that wait for another run."""
    _, waiting = REFUSED.get(switch, ("", ()))
    _, streams = KINDS[kind]
    return streams if kind in waiting else tuple(name for name in streams if name in waiting)
