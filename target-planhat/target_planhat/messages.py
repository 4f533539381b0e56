"""Singer messages, line by line: what each must have, and what is wrong with one that has it not.

Records are handed on as JSON: who takes them reads what is needed of them, and no more. What
nobody reads is checked to be JSON, but not its characters, nor the size of its numbers.
"""

from __future__ import annotations

import typing as t

import msgspec

from target_planhat.errors import TargetError

MALFORMED = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What is raised where JSON is none."""
_BRACE = ord("{")
_decode = msgspec.json.decode
# What a message must have, and what that must be
_FORMS: dict[str, dict[str, type]] = {
    "RECORD": {"stream": str, "record": dict},
    "SCHEMA": {"stream": str, "schema": dict},
    "STATE": {"value": object},
    "ACTIVATE_VERSION": {"stream": str},
}
_CALLED = {str: "a text", dict: "an object", object: "a value"}


class Row(msgspec.Struct, gc=False):
    """A RECORD; `record` is JSON of an object."""

    type: t.Literal["RECORD"]
    stream: str
    record: msgspec.Raw


_row = msgspec.json.Decoder(Row).decode


def row(line: bytes | str) -> Row | None:
    """Read a line as a RECORD; None: it is none, or has not what it must have."""
    try:
        found = _row(line)
    except MALFORMED:
        return None
    return found if memoryview(found.record)[0] == _BRACE else None


def message(number: int, line: bytes | str) -> tuple[str, list[t.Any]]:
    """Read a line: the type of its message, and what that says.

    Raises:
        TargetError: it is no message that can be taken; the line shows nothing of it.
    """
    try:
        found = _decode(line)
    except MALFORMED:
        raise broken(number, line) from None
    said = found.get("type") if isinstance(found, dict) else None
    kind = said if isinstance(said, str) else ""
    if kind == "BATCH":
        raise _unusable(number, "is a BATCH message: unset `batch_config` of the tap")
    form = _FORMS.get(kind)
    if form is None:
        raise _unusable(number, f"is no Singer message: allowed types are {', '.join(_FORMS)}")
    for name, wanted in form.items():
        if name not in found or not isinstance(found[name], wanted):
            raise _unusable(number, f"is of type {kind} without `{name}`, {_CALLED[wanted]}")
    return kind, [found[name] for name in form]


def broken(number: int, line: bytes | str) -> TargetError:
    """Say that a line is not JSON."""
    ended = line.endswith(b"\n") if isinstance(line, bytes) else line.endswith("\n")
    return _unusable(number, "is not JSON" if ended else "is not JSON: the input breaks off there")


def _unusable(number: int, reason: str) -> TargetError:
    return TargetError(f"line {number} of the input {reason}. Nothing is sent")


def properties(stream: str, schema: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Give the properties of a SCHEMA.

    Raises:
        TargetError: it has none.
    """
    found = schema.get("properties")
    if not isinstance(found, dict):
        raise TargetError(f"the SCHEMA of the stream {stream} has no `properties`: it needs them")
    return found
