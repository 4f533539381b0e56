"""Rows that are made from other rows: what Pendo keeps inside its objects, one row each.

Rows are raw, as Pendo sends them, before a shape converts them; what is not as expected gives no
row here, and is kept in the parent's own record.
"""

from __future__ import annotations

import re
import typing as t

from tap_pendo import Row

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Derive = t.Callable[[Row], "Iterator[Row]"]

_OF_APP = re.compile(r"auto_(_?)(\d+)")


def _objects(value: t.Any) -> Iterator[Row]:
    return (
        (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
    )


def _texts(value: t.Any) -> Iterator[str]:
    """Distinct texts in their order."""
    texts = (item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
    return iter(dict.fromkeys(texts))


def objects(inside: str, parent_id: str) -> Derive:
    """Make a row of each object in a list, with the parent's id and its place, from 0."""

    def derive(row: Row) -> Iterator[Row]:
        for position, item in enumerate(_objects(row.get(inside))):
            yield {**item, parent_id: row.get("id"), "position": position}

    return derive


def texts(inside: str, parent_id: str, name: str) -> Derive:
    """Make a row of each text in a list, with the parent's id and its place, from 0."""

    def derive(row: Row) -> Iterator[Row]:
        for position, text in enumerate(_texts(row.get(inside))):
            yield {parent_id: row.get("id"), "position": position, name: text}

    return derive


def polls_of_steps(guide: Row) -> Iterator[Row]:
    """Make a row of each poll on each step of a guide."""
    for step in _objects(guide.get("steps")):
        for poll in _texts(step.get("pollIds")):
            yield {"guideId": guide.get("id"), "guideStepId": step.get("id"), "pollId": poll}


def its_id(name: str) -> Callable[[Row], Iterator[dict[str, str]]]:
    """Give the row's own id under a name."""

    def items(row: Row) -> Iterator[dict[str, str]]:
        if isinstance(row.get("id"), str):
            yield {name: row["id"]}

    return items


def its_polls(guide: Row) -> Iterator[dict[str, str]]:
    """Give the ids of each poll of a guide."""
    for poll in _objects(guide.get("polls")):
        if isinstance(poll.get("id"), str) and isinstance(guide.get("id"), str):
            yield {"guideId": guide["id"], "pollId": poll["id"]}


def accounts_of_visitor(visitor: Row) -> Iterator[Row]:
    """Make a row of each account of a visitor."""
    for account in _texts(_group(visitor, "auto").get("accountids")):
        yield {"visitorId": visitor.get("visitorId"), "accountId": account}


def applications_of(id_field: str) -> Derive:
    """Make a row of each app of a visitor or an account: `metadata.auto_<appId>`."""

    def derive(row: Row) -> Iterator[Row]:
        metadata = row.get("metadata")
        for name in metadata if isinstance(metadata, dict) else ():
            found = _OF_APP.fullmatch(name)
            if found:
                # a minus sign is written as _
                app_id = int(found[2]) * (-1 if found[1] else 1)
                yield {**_group(row, name), id_field: row.get(id_field), "appId": app_id}

    return derive


def _group(row: Row, name: str) -> Row:
    metadata = row.get("metadata")
    group = metadata.get(name) if isinstance(metadata, dict) else None
    return group if isinstance(group, dict) else {}


def users(row: Row) -> Iterator[Row]:
    """Give the Pendo users that made, changed or own an object."""
    for name in ("createdByUser", "lastUpdatedByUser", "ownedByUser"):
        user = row.get(name)
        if isinstance(user, dict) and user.get("id"):
            yield user


# Whole answers


def rows_of_list(answer: t.Any) -> list[Row] | None:
    """Take a list of objects as it is, null as an empty one; None if it is something else."""
    if answer is None:
        return []
    if isinstance(answer, list) and all(isinstance(row, dict) for row in answer):
        return answer
    return None


def metadata_fields(answer: t.Any) -> list[Row] | None:
    """Make a row of each field of {group: {field: definition}}."""
    if answer is None:
        return []
    if not isinstance(answer, dict):
        return None
    return [
        {**(definition if isinstance(definition, dict) else {}), "group": group, "field": name}
        for group, fields in answer.items()
        if isinstance(fields, dict)
        for name, definition in fields.items()
    ]


def any_rows(answer: t.Any) -> list[Row] | None:
    """Make rows of an answer whose form nobody has described.

    A list gives a row an item, with its place from 0; an object gives one row, or if it holds
    nothing but objects, a row each with its `key`. What is not an object becomes a row's `value`.
    A `position` or `key` that Pendo sends itself stays.
    """
    if isinstance(answer, list):
        return [{"position": at, **_as_row(item)} for at, item in enumerate(answer)]
    if isinstance(answer, dict):
        if answer and all(isinstance(value, dict) for value in answer.values()):
            return [{"key": key, **value} for key, value in answer.items()]
        return [answer] if answer else []
    return [] if answer is None else [{"value": answer}]


def _as_row(item: t.Any) -> Row:
    return item if isinstance(item, dict) else {"value": item}


Answer = t.Callable[[t.Any], "list[Row] | None"]
