"""The terms: a rule, and what it makes of a record (figures of a cell, or a rejection)."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = t.Literal["activity", "metric"]
Key = t.Literal["externalId", "email", "sourceId"]
Model = t.Literal["EndUser", "Company", "Asset", "Project"]
Granularity = t.Literal["hour", "day"]
Combine = t.Literal["sum", "count", "max", "last", "value"]
ADDITIVE: frozenset[Combine] = frozenset({"sum", "count"})
OnChange = t.Literal["report", "delta", "resend"]
Of = t.Literal["row", "visitor", "account"]
Fate = t.Literal[
    "sent",
    "unchanged",
    "waiting",
    "parked",
    "rejected",
    "in_doubt",
    "reference",
    "ignored",
]
FATES: tuple[Fate, ...] = t.get_args(Fate)
EMAIL, NAME = "identity.email", "identity.name"
"""The profile fields of a visitor that creating end users needs, beside the paths of rules."""


def names_people(model: str, of: str, path: str) -> bool:
    """Whether a rule, by its model and its match, is about ids of people."""
    return model == "EndUser" or of == "visitor" or path == "visitor_id"


@dataclasses.dataclass(frozen=True)
class ActionTemplate:
    """What activities are called: a text with placeholders for ids, names and dimensions.

    `fields` are the fields of the row that distinguish its actions, in the order of an item's
    entity; `definitions` is the stream that the entity's name is learnt from, None if the template
    does not name it. `named` is the place of its id in `fields`.
    """

    template: str
    fields: tuple[str, ...]
    placeholder: str | None = None
    definitions: str | None = None
    named: int | None = None

    def text(self, texts: Sequence[str], name: str | None = None) -> str:
        """Fill the template with the texts of `fields`, and the entity's name if it has a place."""
        values = dict(zip(self.fields, texts, strict=True))
        if self.placeholder is not None:
            values[self.placeholder] = name or ""
        return self.template.format_map(values)


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
    empty: all. `where` maps a field to the texts of its allowed values. `template` makes the names
    of activities.
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
    # label of the first day that it sends, epoch ms; None: that of all rules
    since: int | None = None
    # activities
    template: ActionTemplate | None = None
    company: str | None = None
    weight: float = 1
    info: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # metrics
    dimension_id: str = ""
    on_change: OnChange = "report"

    @property
    def action(self) -> str:
        """The template of its activities' names, "" for a metric."""
        return self.template.template if self.template else ""

    @property
    def named(self) -> tuple[str, ...]:
        """The fields of the row by which `action` distinguishes activities."""
        return self.template.fields if self.template else ()

    @property
    def adds_rows(self) -> bool:
        """Whether the rows of an item are added up, so that parts of a day or of apps may come."""
        return self.combine in ADDITIVE

    @property
    def is_of_people(self) -> bool:
        """Whether the subjects of its items are people."""
        return names_people(self.model, self.match.of, ".".join(self.match.path))

    def fingerprint(self, timezone: str) -> dict[str, t.Any]:
        """What must not change while the ledger knows the rule's name, or figures would mix.

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

    def selection(self) -> dict[str, t.Any]:
        """Which records it counts, and under which text: it may change, and no two share it."""
        return {
            "only": sorted(self.only),
            "where": {field: sorted(values) for field, values in self.where.items()},
            "action": self.action,
        }


class Cell(t.NamedTuple):
    """What a record counts for: a bucket of an item, as one read gave it. Times are epoch ms.

    An item is one activity or one point: (rule, subject, company, entity, date). `subject` is
    Pendo's id of the visitor, account, … that the item is about; `company` is Pendo's account id
    (activities only, else ""); `entity` is a JSON array of the texts that the action names
    ("[]" for metrics). `date` is what Planhat gets: the start of the UTC hour, or the day's label
    at 00:00Z. `ends` is when the item's hour or day is over.
    `bucket` is the start of the source bucket (hour or day of Pendo), `period` its kind; `app`
    the app's id as text, a hash of the visitor where rows come visitor by visitor, or "" where
    neither adds up.
    They are in the order of the ledger's staged rows, but for `period`.
    """

    read_at: int
    bucket: int
    date: int
    subject: str
    company: str
    entity: str
    app: str
    ends: int
    period: str


class Rejection(t.NamedTuple):
    """Why a record counts for nothing: `rejected` (faulty) or `ignored` (not asked for)."""

    fate: Fate
    reason: str
