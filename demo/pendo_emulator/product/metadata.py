"""Metadata of visitors and accounts: its schema, and the fields that a test has overridden."""

import zlib
from collections.abc import Callable
from typing import Any

Field = dict[str, Any]
Schema = dict[str, dict[str, Field]]

_TIMES = ("firstvisit", "lastvisit", "lastupdated")
_CUSTOM_VISITOR = {
    "beta": "boolean",
    "logins": "integer",
    "satisfaction": "float",
    "trained": "time",
    "teams": "list",
    "nickname": "string",
    "level": "integer",
    "unclear": "",
}
_CUSTOM_ACCOUNT = {
    "plan": "string",
    "seats": "integer",
    "arr": "float",
    "renewal": "time",
    "strategic": "boolean",
    "tags": "list",
    "score": "integer",
    "legacy": "",
}
_GROUPS: dict[str, dict[str, dict[str, str]]] = {
    "visitor": {
        "auto": {
            "id": "string",
            "idhash": "integer",
            "accountid": "string",
            "accountids": "list",
            "createdat": "time",
            **dict.fromkeys(_TIMES, "time"),
            **dict.fromkeys(
                (
                    "lastbrowsername",
                    "lastbrowserversion",
                    "lastoperatingsystem",
                    "lastservername",
                ),
                "string",
            ),
        },
        "agent": dict.fromkeys(("email", "full_name", "role", "language"), "string"),
        "custom": _CUSTOM_VISITOR,
        "pendo": {"donotprocess": "boolean", "designerenabled": "boolean"},
        "salesforce": {"contactid": "string"},
    },
    "account": {
        "auto": {"id": "string", "idhash": "integer", **dict.fromkeys(_TIMES, "time")},
        "agent": {"name": "string", "is_paying": "boolean"},
        "custom": _CUSTOM_ACCOUNT,
        "pendo": {"donotprocess": "boolean"},
        "salesforce": {"id": "string", "ownername": "string", "opportunityamount": "float"},
    },
    "parentAccount": {
        "auto": {"id": "string", **dict.fromkeys(_TIMES, "time")},
        "custom": {"region": "string", "headcount": "integer"},
    },
}


def metadata_schema(kind: str, apps: tuple[int, ...]) -> Schema:
    """Return {group: {field: definition}} of account, visitor or parentAccount, and of the apps."""
    groups = dict(_GROUPS[kind])
    per_app = {"id": "string", "idhash": "integer", **dict.fromkeys(_TIMES, "time")}
    for app in apps:
        groups[f"auto_{app}".replace("-", "_")] = per_app
    return {
        group: {
            name: field(name, type_, per_app=group.startswith("auto_"))
            for name, type_ in fields.items()
        }
        for group, fields in groups.items()
    }


def field(name: str, type_: str, *, per_app: bool) -> Field:
    """Return the definition of a field."""
    definition: Field = {
        "Type": type_,
        "DisplayName": name.replace("_", " ").title(),
        "ElementType": "string" if type_ == "list" else "",
        "ElementFormat": "",
        "Dirty": False,
        "isHidden": False,
        "isDeleted": False,
        "isCalculated": False,
        "isPerApp": per_app,
        "neverIndex": False,
        "cardinality": len(name) * 100,
    }
    if type_ == "string":
        definition["sample"] = "sample"
    return definition


Row = dict[str, Any]
Change = Callable[[Row], Row]
ABSENT: Any = object()  # the value of a field that a person does not have


class Overrides:
    """The changes of visitors' and accounts' rows, and the fields that were added."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Change]] = {"visitor": [], "account": []}
        self._added: dict[str, Schema] = {"visitor": {}, "account": {}}

    def override(self, kind: str, change: Change) -> None:
        """Change each aggregation row of visitor or account; a row is never changed in place."""
        self._changes[kind].append(change)

    def add_field(self, kind: str, group: str, name: str, type_: str, values: list[Any]) -> None:
        """Add a metadata field of a `Type` to visitor or account.

        Each person has one of the values, always the same one; ABSENT means none.
        """
        self._added[kind].setdefault(group, {})[name] = field(name, type_, per_app=False)
        self.override(kind, lambda row: _with_field(row, f"{kind}Id", group, name, values))

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
