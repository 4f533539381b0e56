"""The bodies that Planhat takes: one activity, one point of a metric (planhat-api.md §2.3, §3.1).

Nulls are left out. Planhat's bulk endpoint has been documented with two spellings of its ids:
both are sent.
"""

from __future__ import annotations

import typing as t

from target_planhat.moments import iso

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from target_planhat.rules import Model

Body = dict[str, t.Any]


def activity(  # noqa: PLR0913 - the parts of an activity
    *,
    external_id: str | None,
    email: str | None,
    company_external_id: str | None,
    action: str,
    date: int,
    count: float,
    weight: float,
    info: Mapping[str, t.Any],
) -> Body:
    """Body of an activity; `date` in epoch milliseconds."""
    body: Body = {}
    if external_id is not None:
        body["externalId"] = body["euExtId"] = external_id
    if email is not None:
        body["email"] = email
    if company_external_id is not None:
        body["companyExternalId"] = body["cId"] = company_external_id
    body["action"] = action
    body["date"] = iso(date)
    body["count"] = _number(count)
    body["weight"] = _number(weight)
    told = {key: _number(value) for key, value in info.items() if value is not None}
    return {**body, "info": told} if told else body


def metric(*, dimension_id: str, value: float, external_id: str, model: Model, date: int) -> Body:
    """Body of one point; `date` in epoch milliseconds."""
    return {
        "dimensionId": dimension_id,
        "value": _number(value),
        "externalId": external_id,
        "model": model,
        "date": iso(date),
    }


def _number(value: t.Any) -> t.Any:
    """Write whole numbers without a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
