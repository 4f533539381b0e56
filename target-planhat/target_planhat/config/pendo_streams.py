"""What a rule can name: the event streams of tap-pendo with their fields, and its other streams.

A rule that names an unknown field is refused before anything is read, so the fields are listed
here. A test compares them with tests/golden/catalog.json.
"""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

VISITOR, ACCOUNT, APP, READ_AT, WINDOW_START = (
    "visitor_id",
    "account_id",
    "app_id",
    "read_at",
    "window_start",
)
_OWN = ("row_id", READ_AT, "extra")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventStream:
    """An event stream.

    times    the fields with the start of the bucket (`hour`, `day`), or the time of an event
    texts    scalar dimensions
    numbers  fields that can be added up
    others   neither
    entity   the id that `only` selects; its name comes from the stream `definitions`, and actions
             have it as `placeholder`
    count    the field with the number of events of a row; None: a row is one event
    resumes  the tap resumes a window: a later run reads what follows the rows before the last STATE
    """

    name: str
    times: tuple[str, ...]
    texts: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    entity: str | None = None
    definitions: str | None = None
    count: str | None = None
    resumes: bool = False

    @property
    def grouped(self) -> bool:
        """Whether a row counts the events of a bucket."""
        return self.count is not None

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields."""
        return (*self.texts, *self.numbers, *self.times, *self.others)

    @property
    def placeholder(self) -> str | None:
        """The placeholder for the entity's name in actions, such as `feature_name`."""
        if self.entity is None or self.definitions is None:
            return None
        return self.entity.removesuffix("_id") + "_name"

    @property
    def placeholders(self) -> tuple[str, ...]:
        """All placeholders that actions can have."""
        return (*((self.placeholder,) if self.placeholder else ()), *self.texts)


_WHO = (VISITOR, ACCOUNT, APP)
_PLACE = ("country", "region", "latitude", "longitude", "remote_ip", "user_agent")


def _grouped(name: str, entity: str | None, definitions: str | None, *texts: str) -> EventStream:
    return EventStream(
        name=name,
        times=("hour", "day"),
        entity=entity,
        definitions=definitions,
        count="num_events",
        texts=(
            *_WHO,
            *((entity,) if entity else ()),
            *texts,
            *_PLACE,
            "server",
            "tab_id",
            "analytics_session_id",
            "recording_id",
            "recording_session_id",
            "signature_agent",
        ),
        numbers=(
            "num_events",
            "num_minutes",
            "rage_click_count",
            "error_click_count",
            "dead_click_count",
            "u_turn_count",
        ),
        others=(
            "parameters",
            "properties",
            "first_time",
            "last_time",
            "last_key_frame_timestamp",
            "week",
            "month",
            "quarter",
            *_OWN,
        ),
    )


def _guides(name: str, *texts: str, others: tuple[str, ...] = ()) -> EventStream:
    return EventStream(
        name=name,
        times=("browser_time",),
        entity="guide_id",
        definitions="guides",
        texts=(
            *_WHO,
            "guide_id",
            "guide_step_id",
            "type",
            *texts,
            *_PLACE,
            "tab_id",
            "guide_seen_reason",
            "url",
            "title",
            "language",
            "server_name",
            "element_path",
            "event_id",
            "fragment",
            "analytics_session_id",
            "old_visitor_id",
            "ui_element_id",
            "ui_element_type",
            "ui_element_text",
            "destination_step_id",
        ),
        numbers=("load_time",),
        others=(
            "account_ids",
            "guide_timestamp",
            "received_time",
            "ui_element_actions",
            "guide_step_poll_types",
            "properties",
            *others,
            *_OWN,
        ),
    )


_STREAMS = (
    _grouped("feature_events", "feature_id", "features"),
    _grouped("page_events", "page_id", "pages"),
    _grouped("track_events", "track_type_id", "track_types"),
    _grouped("events", None, None, "page_id"),
    _guides("guide_events"),
    _guides("poll_events", "poll_id", "poll_type", others=("poll_response",)),
    EventStream(
        name="single_events",
        times=("browser_time",),
        texts=(
            *_WHO,
            "type",
            "tab_id",
            "url",
            "element_path",
            "event_id",
            "country",
            "region",
            "remote_ip",
            "user_agent",
            "recording_session_id",
        ),
        numbers=("num_events",),
        others=("hour", "day", "properties", *_OWN),
    ),
    EventStream(
        name="session_recordings",
        times=("start_time",),
        texts=(
            *_WHO,
            "recording_id",
            "recording_session_id",
            "tab_id",
            "is_broken",
            "is_session_start",
            "recording_last_mobile_state",
        ),
        numbers=("recording_size", "recording_rrweb_event_count"),
        others=(
            "end_time",
            "min_browser_time",
            "max_browser_time",
            "recording_start_time",
            "recording_end_time",
            "activity_timeline_timestamps",
            "recording_first_active_ts",
            "recording_last_active_ts",
            "recording_inactivity_period_start_times",
            "recording_inactivity_period_end_times",
            *_OWN,
        ),
    ),
    EventStream(
        name="agentic_events",
        times=("browser_time",),
        entity="agent_id",
        texts=(
            *_WHO,
            "agent_id",
            "event_id",
            "type",
            "content",
            "conversation_id",
            "message_id",
            "suggested_prompt",
            "agent_model_used",
            "agent_user_reaction_comments",
        ),
        others=("tools_used", "agent_files_uploaded", "agent_subagents_used", *_OWN),
    ),
    EventStream(
        name="email_events",
        times=("browser_time",),
        entity="guide_id",
        definitions="guides",
        texts=(*_WHO, "guide_id", "type"),
        others=_OWN,
    ),
    EventStream(
        name="visitor_history",
        times=("ts",),
        resumes=True,
        texts=(
            VISITOR,
            APP,
            "type",
            "uri",
            "untagged_url",
            "page_id",
            "feature_id",
            "guide_id",
            "guide_step_id",
        ),
        numbers=("duration",),
        others=("last_ts", "parsed_user_agent", *_OWN),
    ),
)
EVENT_STREAMS: Mapping[str, EventStream] = {stream.name: stream for stream in _STREAMS}

# Names that an aggregation's rows can be called by, if they have the id
NAMES: Mapping[str, tuple[str, str]] = {
    placeholder: (stream.entity, stream.definitions)
    for stream in _STREAMS
    if (placeholder := stream.placeholder) and stream.entity and stream.definitions
}

# streams of tap-pendo that are neither events nor aggregations: no rule can be about them
OTHER_STREAMS = frozenset(
    {
        "account_applications",
        "accounts",
        "applications",
        "bulk_deletion_jobs",
        "do_not_process_accounts",
        "do_not_process_visitors",
        "exclude_lists",
        "feature_element_path_rules",
        "features",
        "feedback_options",
        "guide_history",
        "guide_order",
        "guide_step_polls",
        "guide_steps",
        "guides",
        "guides_seen",
        "metadata_accounts",
        "metadata_dependencies",
        "metadata_parent_accounts",
        "metadata_visitors",
        "page_rules",
        "pages",
        "polls",
        "polls_seen",
        "product_area_items",
        "product_areas",
        "report_results",
        "reports",
        "segment_members",
        "segments",
        "server_names",
        "sync_windows",
        "track_type_rules",
        "track_types",
        "users",
        "visitor_accounts",
        "visitor_applications",
        "visitors",
    }
)
