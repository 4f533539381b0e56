"""What a rule is: which records of a stream become which activities or metrics in Planhat."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Kind = t.Literal["activity", "metric"]
Key = t.Literal["externalId", "email", "sourceId"]
Model = t.Literal["EndUser", "Company", "Asset", "Project"]
Granularity = t.Literal["hour", "day"]
Combine = t.Literal["sum", "count", "max", "last", "value"]
OnChange = t.Literal["report", "delta", "resend"]
Of = t.Literal["row", "visitor", "account"]


@dataclasses.dataclass(frozen=True)
class Match:
    """How a record names its object in Planhat.

    `of` says whose field it is: the row's own, or that of the newest `visitors` or `accounts`
    record of the row's visitor_id or account_id, where `path` leads into nested objects.
    """

    of: Of
    path: tuple[str, ...]
    by: Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One valid rule. `value` is the field that `combine` works on; None: each record counts 1.

    `date` is the field with the time, None: that of the event stream. `only` are entity ids,
    empty: all. `where` maps a field to the texts of its allowed values. `named` are the fields of
    the row by which `action` tells activities apart.
    """

    name: str
    kind: Kind
    stream: str
    only: frozenset[str]
    where: Mapping[str, frozenset[str]]
    match: Match
    model: Model
    granularity: Granularity
    combine: Combine
    value: str | None
    date: str | None
    # activities
    action: str = ""
    named: tuple[str, ...] = ()
    company: str | None = None
    weight: float = 1
    info: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # metrics
    dimension_id: str = ""
    on_change: OnChange = "report"

    def fingerprint(self, timezone: str) -> dict[str, t.Any]:
        """What may not change while the ledger knows the rule's name: else figures would mix.

        In another `timezone` hours that were sent would belong to another day, and count there too.
        """
        return {
            "kind": self.kind,
            "stream": self.stream,
            "match": [self.match.of, ".".join(self.match.path), self.match.by],
            "granularity": self.granularity,
            "combine": self.combine,
            "value": self.value,
            "date": self.date,
            "company": self.company,
            "named": list(self.named),
            "dimension_id": self.dimension_id,
            "model": self.model,
            "timezone": timezone if self.granularity == "day" else None,
        }
