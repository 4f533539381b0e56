"""The user's own aggregations: what one is, what is wrong with one, and the requests it makes.

Source: design.md §2.6, pendo-api.md §3.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import typing as t
from pathlib import Path

import msgspec

from tap_pendo import aggregation
from tap_pendo.inferring import LONGEST_NAME, is_column
from tap_pendo.shapes import EXTRA
from tap_pendo.windows import Period, Window, to_ms

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tap_pendo.aggregation import Body

WINDOW = "$window"
WINDOW_START = "window_start"
READ_AT = "read_at"

SCHEMA: dict[str, t.Any] = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": r"^[A-Za-z_]\w*$"},
            "pipeline": {"type": ["array", "object"], "minItems": 1},
            "pipeline_file": {"type": "string"},
            "primary_keys": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "grain": {"type": "string", "enum": ["hour", "day"]},
            "schema": {"type": "object"},
        },
        "required": ["name", "primary_keys"],
        "additionalProperties": False,
    },
}


class PipelineError(ValueError):
    """What is wrong with an entry of `aggregations`, without its values."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One aggregation: a stream of its rows, by bucket (`grain`) or as a snapshot."""

    name: str
    payload: Body
    """The whole request; its pipeline may hold `"$window"`."""
    primary_keys: tuple[str, ...]
    grain: Period | None
    schema: dict[str, t.Any] | None

    def body(self, window: Window | None = None) -> Body:
        """Give the request, with the window's time series where it belongs."""
        if window is None:
            return self.payload
        series = {
            "period": f"{self.grain}Range",
            "first": to_ms(window.start),
            # the bucket that holds `last` is included
            "last": to_ms(window.end) - 1,
        }
        request = copy.deepcopy(self.payload)
        steps = request["request"]["pipeline"]
        if not _has_window(steps):
            steps[0].pop("timeSeries", None)
            steps[0]["source"]["timeSeries"] = series
        else:
            request["request"]["pipeline"] = _with_window(steps, series)
        return request


def _has_window(value: t.Any) -> bool:
    if isinstance(value, (list, dict)):
        return any(map(_has_window, value.values() if isinstance(value, dict) else value))
    return bool(value == WINDOW)


def _with_window(value: t.Any, series: dict[str, t.Any]) -> t.Any:
    if isinstance(value, dict):
        return {name: _with_window(inner, series) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_window(inner, series) for inner in value]
    return dict(series) if value == WINDOW else value


def problems(entries: Iterable[Mapping[str, t.Any]], taken: Collection[str]) -> Iterable[str]:
    """Say what is wrong with the setting, a line for each entry; names in `taken` are streams."""
    names = set(taken)
    for at, entry in enumerate(entries):
        name = entry["name"]
        where = f"setting `aggregations.{at}` ({name})"
        if name in names:
            yield f"{where}: there is a stream of this name; allowed is another"
        if not is_column(name):
            yield f"{where}: allowed is a name of at most {LONGEST_NAME} bytes"
        names.add(name)
        try:
            read(entry)
        except PipelineError as error:
            yield f"{where}: {error}"


def read(entry: Mapping[str, t.Any]) -> Pipeline:
    """Read one entry that fits the schema.

    Raises:
        PipelineError: it contradicts itself, or its file cannot be read.
    """
    grain = entry.get("grain")
    keys = tuple(entry["primary_keys"])
    payload = _payload(entry)
    steps = payload["request"]["pipeline"]
    if EXTRA in keys or not all(map(is_column, keys)):
        raise PipelineError(
            f"allowed are `primary_keys` that can be columns: at most {LONGEST_NAME} bytes, no "
            f"quotes, none of the database's own, not `{EXTRA}`"
        )
    if grain and WINDOW_START not in keys:
        raise PipelineError(f"with `grain`, allowed are `primary_keys` that hold `{WINDOW_START}`")
    if not grain and _has_window(steps):
        raise PipelineError(f'`"{WINDOW}"` is allowed with `grain` only: hour or day')
    if grain and not _has_window(steps) and not isinstance(steps[0].get("source"), dict):
        raise PipelineError(f'its first step has no source: put `"{WINDOW}"` where timeSeries goes')
    schema = entry.get("schema")
    if schema is not None and not isinstance(schema.get("properties"), dict):
        raise PipelineError("`schema`: allowed is a JSON schema with `properties`")
    return Pipeline(
        name=entry["name"], payload=payload, primary_keys=keys, grain=grain, schema=schema
    )


def _payload(entry: Mapping[str, t.Any]) -> Body:
    """Find the pipeline: steps, or a payload as Pendo's UI shows it, inline or in a file."""
    if ("pipeline" in entry) == ("pipeline_file" in entry):
        raise PipelineError("allowed is one of `pipeline` and `pipeline_file`")
    # numbers with a point arrive as Decimal, which requests cannot write
    found = _plain(entry["pipeline"]) if "pipeline" in entry else _file(entry["pipeline_file"])
    whole = found if isinstance(found, dict) and "request" in found else {"request": found}
    request = whole["request"]
    steps = request.get("pipeline") if isinstance(request, dict) else request
    if not isinstance(steps, list) or not steps or not all(isinstance(s, dict) for s in steps):
        raise PipelineError("allowed is a list of steps, or a payload with `request.pipeline`")
    if not isinstance(request, dict):
        return aggregation.body(entry["name"], steps)
    return {"response": {"mimeType": "application/json"}, **whole, "request": request}


def _plain(value: t.Any) -> t.Any:
    return msgspec.json.decode(msgspec.json.Encoder(decimal_format="number").encode(value))


def _file(name: str) -> t.Any:
    try:
        return msgspec.json.decode(Path(name).read_bytes())
    except OSError as error:
        raise PipelineError(f"`pipeline_file` cannot be read ({type(error).__name__})") from None
    except msgspec.DecodeError as error:
        where = re.search(r"byte \d+", str(error))
        raise PipelineError(
            f"`pipeline_file` is not JSON{f' ({where[0]})' if where else ''}"
        ) from None
