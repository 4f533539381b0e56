"""Knows how the metadata of people, and its schema, differ from what they were made with."""

import zlib
from collections.abc import Callable
from typing import Any

from pendo_emulator.metadata import Schema, field, metadata_schema

Row = dict[str, Any]
Change = Callable[[Row], Row]
ABSENT: Any = object()  # the value of a field that a person does not have


class Alterations:
    """The changes of visitors' and accounts' rows, and the fields that were added."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Change]] = {"visitor": [], "account": []}
        self._added: dict[str, Schema] = {"visitor": {}, "account": {}}

    def alter(self, kind: str, change: Change) -> None:
        """Change each aggregation row of visitor or account; a row is never changed in place."""
        self._changes[kind].append(change)

    def add_field(self, kind: str, group: str, name: str, type_: str, values: list[Any]) -> None:
        """Add a metadata field of a `Type` to visitor or account.

        Each person has one of the values, always the same one; ABSENT means none.
        """
        self._added[kind].setdefault(group, {})[name] = field(name, type_, per_app=False)
        self.alter(kind, lambda row: _with_field(row, f"{kind}Id", group, name, values))

    def row(self, kind: str, row: Row) -> Row:
        """Return the row of a visitor or an account as it is now."""
        for change in self._changes[kind]:
            row = change(row)
        return row

    def schema(self, kind: str, apps: tuple[int, ...]) -> Schema:
        """Return the metadata schema of visitor, account or parentAccount as it is now."""
        known = metadata_schema(kind, apps)
        return {
            **known,
            **{
                group: {**known.get(group, {}), **fields}
                for group, fields in self._added.get(kind, {}).items()
            },
        }


def _with_field(row: Row, key: str, group: str, name: str, values: list[Any]) -> Row:
    metadata = row["metadata"]
    value = values[zlib.crc32(row[key].encode()) % len(values)]
    if value is ABSENT or "auto" not in metadata:
        return row
    fields = {**metadata.get(group, {}), name: value}
    return {**row, "metadata": {**metadata, group: fields}}
