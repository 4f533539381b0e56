"""The user's own aggregations: what one is, what is wrong with one, and the requests it makes."""

from __future__ import annotations

import codecs
import copy
import dataclasses
import re
import typing as t
from pathlib import Path

import msgspec

from tap_pendo.api import queries
from tap_pendo.calendar import Period, Window, to_ms
from tap_pendo.errors import StreamError
from tap_pendo.records.fields import EXTRA
from tap_pendo.records.inference import LONGEST_NAME, is_column

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tap_pendo import Row
    from tap_pendo.api.queries import Body

WINDOW = "$window"
WINDOW_START = "window_start"
START_TIME = "start_time"
READ_AT = "read_at"
# Periods for each of which Pendo runs the pipeline once, and answers {startTime, results}
_ITERATIVE = {"hourly", "daily", "weekly", "monthly"}

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

    @property
    def iterative(self) -> bool:
        """Whether its answer holds a list of rows for each period; with `grain` it never does."""
        first = self.payload["request"]["pipeline"][0]
        source = first.get("source")
        beside, inside = (
            step.get("timeSeries") if isinstance(step, dict) else None for step in (first, source)
        )
        series = inside or beside
        period = series.get("period") if isinstance(series, dict) else None
        return not self.grain and period in _ITERATIVE

    def rows(self, block: list[Row]) -> list[Row]:
        """Give the rows of an answer; those of a period with its `start_time`.

        Raises:
            StreamError: there are no periods where there must be.
        """
        if not self.iterative:
            return block
        return [
            {**row, START_TIME: _epoch(period["startTime"])}
            for period in block
            for row in _of_period(period)
        ]

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


def _of_period(period: Row) -> list[Row]:
    rows = period.get("results", ()) or []
    if "startTime" in period and isinstance(rows, list) and all(isinstance(r, dict) for r in rows):
        return rows
    raise StreamError(
        "its period is hourly, daily, weekly or monthly, but Pendo's answer has no `startTime` and "
        "`results` for each: use `grain`, or a period such as dayRange"
    )


def _epoch(moment: t.Any) -> t.Any:
    """Epoch milliseconds, which may come as text."""
    return int(moment) if isinstance(moment, str) and moment.isdigit() else moment


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
            yield f"{where}: there is a stream of this name; it must have another"
        if not is_column(name):
            yield f"{where}: the name must have at most {LONGEST_NAME} bytes"
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
            f"`primary_keys` must be names that can be columns: at most {LONGEST_NAME} bytes, no "
            f"quotes, none of the database's own, not `{EXTRA}`"
        )
    if grain and WINDOW_START not in keys:
        raise PipelineError(f"with `grain`, `primary_keys` must hold `{WINDOW_START}`")
    if not grain and _has_window(steps):
        raise PipelineError(f'`"{WINDOW}"` is allowed with `grain` only: hour or day')
    if grain and not _has_window(steps) and not isinstance(steps[0].get("source"), dict):
        raise PipelineError(f'its first step has no source: put `"{WINDOW}"` where timeSeries goes')
    schema = entry.get("schema")
    if schema is not None and not isinstance(schema.get("properties"), dict):
        raise PipelineError("`schema` must be a JSON schema with `properties`")
    return Pipeline(
        name=entry["name"], payload=payload, primary_keys=keys, grain=grain, schema=schema
    )


def _payload(entry: Mapping[str, t.Any]) -> Body:
    """Find the pipeline: steps, or a payload as Pendo's UI shows it, inline or in a file."""
    if ("pipeline" in entry) == ("pipeline_file" in entry):
        raise PipelineError("there must be one of `pipeline` and `pipeline_file`")
    # numbers with a point arrive as Decimal, which requests cannot write
    found = _plain(entry["pipeline"]) if "pipeline" in entry else _file(entry["pipeline_file"])
    wrapped = isinstance(found, dict) and not found.keys().isdisjoint({"request", "requests"})
    whole = dict(found) if wrapped else {"request": found}
    several = whole.pop("requests", None)
    request = _one(whole.get("request") if several is None else several)
    steps = request.get("pipeline") if isinstance(request, dict) else request
    if several is not None and steps is several:
        steps = None  # requests without a pipeline are no steps
    if not isinstance(steps, list) or not steps or not all(isinstance(s, dict) for s in steps):
        raise PipelineError(
            "it must be a list of steps, or a payload with `request.pipeline` or with one of "
            "`requests`"
        )
    if not isinstance(request, dict):
        return queries.body(entry["name"], steps)
    # the answer comes as JSON in the response, wherever Pendo's interface wanted it
    asked = whole.get("response")
    response = {**(asked if isinstance(asked, dict) else {}), "mimeType": "application/json"}
    if "location" in response:
        response["location"] = "request"
    return {**whole, "response": response, "request": request}


def _one(requests: t.Any) -> t.Any:
    """Take the only request of a payload, without what ties it to Pendo's interface."""
    requests = [requests] if _is_request(requests) else requests
    if not isinstance(requests, list) or not all(_is_request(each) for each in requests):
        return requests
    if len(requests) > 1:
        names = ", ".join(
            str(each.get("name") or each.get("requestId") or f"number {at}")[:LONGEST_NAME]
            for at, each in enumerate(requests, 1)
        )
        raise PipelineError(
            f"its payload has {len(requests)} requests ({names}); it must have "
            "one; make an entry for each"
        )
    return {
        name: value
        for each in requests
        for name, value in each.items()
        if name != "streamId" and (name != "params" or value)
    }


def _is_request(value: t.Any) -> bool:
    return isinstance(value, dict) and "pipeline" in value


def _plain(value: t.Any) -> t.Any:
    return msgspec.json.decode(msgspec.json.Encoder(decimal_format="number").encode(value))


def _file(name: str) -> t.Any:
    try:
        return msgspec.json.decode(Path(name).read_bytes().removeprefix(codecs.BOM_UTF8))
    except OSError as error:
        raise PipelineError(f"`pipeline_file` cannot be read ({type(error).__name__})") from None
    except msgspec.DecodeError as error:
        where = re.search(r"byte \d+", str(error))
        raise PipelineError(
            f"`pipeline_file` is not JSON{f' ({where[0]})' if where else ''}"
        ) from None
