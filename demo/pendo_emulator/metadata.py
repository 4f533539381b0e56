"""Knows the metadata schema: the groups and fields that visitors and accounts have."""

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
