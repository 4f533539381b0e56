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
    info: Mapping[str, t.Any] | None,
) -> Body:
    """Body of an activity; `date` in epoch milliseconds."""
    body = {
        "externalId": external_id,
        "euExtId": external_id,
        "email": email,
        "companyExternalId": company_external_id,
        "cId": company_external_id,
        "action": action,
        "date": iso(date),
        "count": _number(count),
        "weight": _number(weight),
        "info": {key: _number(value) for key, value in (info or {}).items() if value is not None},
    }
    return {key: value for key, value in body.items() if value not in (None, {})}


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
