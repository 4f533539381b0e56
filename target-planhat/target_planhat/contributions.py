"""What mapping makes of a record: figures of one cell, or a rejection."""

from __future__ import annotations

import typing as t

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
    """

    subject: str
    company: str
    entity: str
    date: int
    ends: int
    app: str
    bucket: int
    period: str
    read_at: int


class Figures(t.NamedTuple):
    """What a record adds to its cell.

    `info` has numbers, which are summed, and other values, which are kept where equal.
    """

    value: float
    info: dict[str, t.Any] | None = None


class Rejection(t.NamedTuple):
    """Why a record becomes nothing: `rejected` (it is faulty) or `ignored` (it is not wanted)."""

    fate: Fate
    reason: str
