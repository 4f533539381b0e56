"""Knows what docs/streams.md shows: pictures of how streams refer to each other, and columns."""

from __future__ import annotations

import typing as t

from tap_pendo.catalog.events import EVENTS
from tap_pendo.catalog.lists import DEFINED, PEOPLE

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_pendo.catalog.stream_specs import StreamSpec

Schema = dict[str, t.Any]

# What a column means wherever it is: in an object `a.b`, in a list `a[]`.
RELATIONS = {
    "app_id": "applications.id",
    "app_ids[]": "applications.id",
    "product_area.id": "product_areas.id",
    "group_id": "product_areas.id",
    "page_id": "pages.id",
    "feature_id": "features.id",
    "track_type_id": "track_types.id",
    "guide_id": "guides.id",
    "origin_id": "guides.id",
    "guide_step_id": "guide_steps.id",
    "destination_step_id": "guide_steps.id",
    "poll_id": "polls.id",
    "poll_ids[]": "polls.id",
    "report_id": "reports.id",
    "segment_id": "segments.id",
    "visitor_id": "visitors.visitor_id",
    "visitor_ids[]": "visitors.visitor_id",
    "account_id": "accounts.account_id",
    "account_ids[]": "accounts.account_id",
    "created_by_user.id": "users.id",
    "last_updated_by_user.id": "users.id",
    "owned_by_user.id": "users.id",
}


class Relation(t.NamedTuple):
    """A column whose values are those of a column of another stream."""

    stream: str
    column: str
    path: str
    to: str
    to_column: str


def relations(streams: Mapping[str, Schema]) -> list[Relation]:
    """Every relation of the streams, by the order of the columns."""
    found = []
    for stream, entry in streams.items():
        for path in _paths(entry["schema"]["properties"]):
            to, _, to_column = RELATIONS.get(path, "").partition(".")
            if to and (to, to_column) != (stream, path):
                column = path.removesuffix("[]").partition(".")[0]
                found.append(Relation(stream, column, path, to, to_column))
    return found


def _paths(properties: Mapping[str, Schema]) -> Iterable[str]:
    """The columns, those of objects also as `a.b`, lists as `a[]`."""
    for name, schema in properties.items():
        yield f"{name}[]" if "items" in schema else name
        yield from (f"{name}.{inner}" for inner in schema.get("properties", ()))


def diagrams(streams: Mapping[str, Schema]) -> str:
    """The pictures, in Mermaid, which GitHub draws; who made what has one of its own."""
    every = relations(streams)
    # definitions refer to definitions; elsewhere few are referred to by many, which is wide
    pictures: tuple[tuple[str, str, Iterable[StreamSpec]], ...] = (
        ("Definitions", "TB", (row for row in DEFINED if row.by_default)),
        ("Visitors and accounts", "LR", (row for row in PEOPLE if row.by_default)),
        ("Events", "LR", (row for row in EVENTS if row.by_default)),
        ("Off by default", "LR", (r for r in (*DEFINED, *PEOPLE, *EVENTS) if not r.by_default)),
    )
    parts = []
    for title, direction, rows in pictures:
        names = {row.name for row in rows}
        shown = [one for one in every if one.stream in names and one.to != "users"]
        parts.append(_picture(title, direction, shown, streams))
    makers = [one for one in every if one.to == "users"]
    parts.append(_picture("Who made it, changed it last, owns it", "LR", makers, streams))
    return "\n" + "\n".join(parts)


def _picture(
    title: str, direction: str, shown: list[Relation], streams: Mapping[str, Schema]
) -> str:
    pairs: dict[tuple[str, str], list[Relation]] = {}
    for one in shown:
        pairs.setdefault((one.stream, one.to), []).append(one)
    lines = [f"### {title}", "", "```mermaid", "erDiagram", f"    direction {direction}"]
    lines += [
        f'    {stream} {_line(them[0], streams)} {to} : "{", ".join(r.column for r in them)}"'
        for (stream, to), them in pairs.items()
    ]
    return "\n".join([*lines, "```", ""])


def _line(one: Relation, streams: Mapping[str, Schema]) -> str:
    """How many: what is referred to may be gone, or not read by this key."""
    if one.path.endswith("[]"):
        return "}o--o{"
    alone = list(streams[one.stream]["key_properties"]) == [one.path]
    return "|o--o|" if alone else "}o--o|"


def sections(
    rows: Iterable[StreamSpec],
    streams: Mapping[str, Schema],
    replication: Mapping[str, str],
    table: t.Callable[..., str],
) -> str:
    """A section for each stream: what it is, and its columns, those of its key in bold."""
    leads = {(one.stream, one.column): one for one in relations(streams)}
    parts = []
    for row in rows:
        entry = streams[row.name]
        keys = entry["key_properties"]
        lines = [
            (
                f"**`{name}`**" if name in keys else f"`{name}`",
                column_type(schema),
                schema["description"],
                _link(leads.get((row.name, name))),
            )
            for name, schema in entry["schema"]["properties"].items()
        ]
        facts = (
            f"Key: {', '.join(f'`{key}`' for key in keys)}.",
            f"Replication: {replication[row.name]}.",
            f"Source: {row.origin}.",
            _default(row),
        )
        columns = table(("Column", "Type", "What it holds", "Refers to"), lines)
        parts.append(f"## {row.name}\n\n{row.about}\n\n{' '.join(facts)}\n{columns}")
    return "\n" + "\n".join(parts)


def _default(row: StreamSpec) -> str:
    if not row.verified:
        return (
            "Unverified: nobody has described what Pendo answers. Read only if `costly_streams` "
            "names it."
        )
    if not row.selected:
        return "Costly: read only if `costly_streams` names it."
    return "Read by default."


def _link(one: Relation | None) -> str:
    return f"[`{one.to}.{one.to_column}`](#{one.to})" if one else ""


def column_type(schema: Schema) -> str:
    """A word for the type of a column."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    [named] = [name for name in types if name != "null"]
    if named == "array":
        items = schema.get("items")
        return f"array of {column_type(items)}" if items else "array"
    return schema.get("format") or named
