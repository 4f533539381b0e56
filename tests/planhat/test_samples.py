"""Samples of payloads in the report: they show how posts look, and nobody."""

from __future__ import annotations

import re
import typing as t

import pytest

from tests.planhat.running import FEATURES, WINDOWS, day, event, record, schema, state, window

if t.TYPE_CHECKING:
    from tests.planhat.running import Record, TargetRunner

EVENTS = schema(
    *("feature_events", "visitor_id", "account_id", "app_id", "feature_id", "hour", "num_events"),
    *("read_at", "country", "user_agent", "properties"),
)
PERSON = record("visitors", visitor_id="vis77", metadata={"agent": {"email": "u2@acme.example"}})


def sample(target: TargetRunner, rule: Record, **fields: t.Any) -> Record:
    """Send an event of somebody whom Pendo and Planhat call differently; give the only sample."""
    report = target.run(
        *(WINDOWS, *FEATURES, schema("visitors", "visitor_id", "metadata"), PERSON, EVENTS),
        event(day(9, 8), "vis77", account="acc55", **fields),
        *(window(day(9), day(10)), state(1)),
        activities=[
            {
                "stream": "feature_events",
                "match": {"field": "visitor.metadata.agent.email", "by": "email"},
                **rule,
            }
        ],
    )
    [shown] = report["rules"][0]["samples"]
    return dict(shown)


@pytest.mark.parametrize(
    ("action", "sent", "shown"),
    [
        ("{feature_name}", "Export", "Export"),
        ("{feature_id} in {app_id}", "f1 in 1", "f1 in 1"),
        (
            "{feature_name} by {visitor_id}_{account_id}",
            "Export by vis77_acc55",
            "Export by ***_***",
        ),
        ("{user_agent}", "bob@acme.example", "***"),
    ],
)
def test_an_action_shows_what_was_used_but_not_by_whom(
    action: str, sent: str, shown: str, target: TargetRunner
) -> None:
    said = sample(target, {"action": action}, user_agent="bob@acme.example")

    [posted] = target.planhat.world.activities()
    assert (posted.action, said["action"]) == (sent, shown)


def test_info_shows_figures_only(target: TargetRunner) -> None:
    info = {"uses": "num_events", "country": "country", "all": "properties"}
    properties = {"mail": "bob@acme.example", "size": 3}
    said = sample(target, {"info": info}, country="SE", properties=properties)

    [posted] = target.planhat.world.activities()
    assert posted.info == {"uses": 1, "country": "SE", "all": properties}
    assert said["info"]["uses"] == 1
    assert re.fullmatch("S…[0-9a-f]{8}", said["info"]["country"])
    assert re.fullmatch("{…[0-9a-f]{8}", said["info"]["all"])
