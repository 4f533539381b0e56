"""The knobs of the emulated Planhat by what they are about, and all their positions."""

from __future__ import annotations

import typing as t

from planhat_emulator.knobs import Knobs

if t.TYPE_CHECKING:
    from collections.abc import Collection

Position = tuple[str, t.Any]

# knobs of activities; the form of their answers is varied with each
OF_ACTIVITIES = (
    "ambiguous",
    "wrong_form",
    "report_unmatched",
    "create_end_users",
    "precedence",
    "company_mismatch",
    "bad_date",
)
# knobs of what creates end users, which is tested with the matching
OF_UPSERTS = (
    "too_many_items",
    "max_items",
    "error_entries",
    "duplicated_items",
    "partial_status",
    "end_user_needs",
    "end_user_without_company",
    "external_id_scope",
    "match_by_email",
    "nulls",
    "unknown_custom",
    "id_in_update",
    "created_status",
)
# figures, of which not every one can be tried
FIGURES: dict[str, tuple[t.Any, ...]] = {
    "max_body": (1500,),
    "max_items": (2, 5000),
    "rate_limit": (None, 200),
    "rate_window": (1.0,),
    "hard_limit": (None, 20),
    "most_parallel": (None, 1),
}


def positions(of: Collection[str]) -> list[Position]:
    """Give these knobs with each of their positions."""
    found: list[Position] = []
    for name, hint in t.get_type_hints(Knobs).items():
        if name not in of:
            continue
        if name in FIGURES:
            values: t.Sequence[t.Any] = FIGURES[name]
        else:
            values = (True, False) if hint is bool else t.get_args(hint)
        found += [(name, value) for value in values]
    return found


def covering(of: Collection[str]) -> list[dict[str, t.Any]]:
    """Give settings of all these knobs, as few as have each position of each knob once at least."""
    values: dict[str, list[t.Any]] = {}
    for name, value in positions(of):
        values.setdefault(name, []).append(value)
    rows = max(map(len, values.values()))
    return [{name: some[row % len(some)] for name, some in values.items()} for row in range(rows)]


# what a run without creation can meet
OF_RUNS = tuple(name for name in Knobs.__struct_fields__ if name not in OF_UPSERTS)
