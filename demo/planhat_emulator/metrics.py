"""Knows custom metrics: which items are points, and of what."""

import re
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from planhat_emulator.dates import DAY, Moments
from planhat_emulator.refusals import Failure, Unusable
from planhat_emulator.store import MEASURED, Store, Thing

_STRICT = re.compile(r"\w+", re.ASCII)
_FOLDED = {name.lower(): name for name in MEASURED}
_REQUIRED = ("dimensionId", "value", "externalId")


class _Unmatched(Unusable):
    """The item is right, but there is no such object."""


class Point(msgspec.Struct, frozen=True, gc=False):
    """One stored point: of `model`, about the object `of`; `day` is in days since 1970 (UTC)."""

    dimension_id: str
    model: str
    of: Thing
    value: float
    day: int
    received: int
    number: int

    @property
    def company_id(self) -> str | None:
        """The _id of the company that it belongs to."""
        found: str | None = self.of["_id"] if self.model == "Company" else self.of.get("companyId")
        return found


class Metrics:
    """The points of a tenant: append only, those of one day side by side."""

    def __init__(self, store: Store, failed: list[Failure]) -> None:
        self._store = store
        self._failed = failed
        self._moments = Moments()
        self.stored: list[Point] = []
        self.of_company: dict[str | None, list[Point]] = defaultdict(list)

    def take(
        self, items: Sequence[Any], spoilt: Collection[int] = (), text: str = ""
    ) -> list[dict[str, Any]]:
        """Store what can be stored; return an {item, error} of each that the answer names.

        Items at the indices `spoilt` are refused with `text` as the error.
        """
        now, errors, knobs = self._store.clock.now(), [], self._store.knobs
        for index, item in enumerate(items):
            try:
                if spoilt and index in spoilt:
                    raise Unusable(text)  # noqa: TRY301 -- one way to be refused
                point = self._read(item, now)
            except Unusable as reason:
                self._failed.append(Failure("metric", item, str(reason), now))
                silent = isinstance(reason, _Unmatched) and knobs.unmatched_metrics == "silent"
                if not silent:
                    generic = knobs.metric_errors == "generic"
                    error = "invalid item" if generic else str(reason)
                    errors.append({"item": item, "error": error})
            else:
                self.stored.append(point)
                self.of_company[point.company_id].append(point)
        return errors

    def _read(self, item: Any, now: int) -> Point:
        if not isinstance(item, dict):
            raise Unusable("item must be an object")
        for name in _REQUIRED:
            if item.get(name) in (None, ""):
                raise Unusable(f"{name} must be specified")
        dimension_id, external_id = item["dimensionId"], item["externalId"]
        if not isinstance(dimension_id, str) or not isinstance(external_id, str):
            raise Unusable("dimensionId and externalId must be strings")
        if self._store.knobs.dimension_ids == "strict" and not _STRICT.fullmatch(dimension_id):
            raise Unusable("dimensionId must have no spaces or special characters")
        model, value = self._model(item.get("model")), self._value(item["value"])
        try:
            date = self._moments.read(now if item.get("date") is None else item["date"])
        except ValueError:
            raise Unusable("date must be a valid date") from None
        of = self._object(model, external_id)
        return Point(dimension_id, model, of, value, date // DAY, now, len(self.stored))

    def _model(self, name: Any) -> str:
        if name is None:
            return "Company"
        if self._store.knobs.model_case == "any" and isinstance(name, str):
            name = _FOLDED.get(name.lower())
        if not isinstance(name, str) or name not in MEASURED:
            raise Unusable(f"model must be one of {', '.join(MEASURED)}")
        return name

    def _value(self, value: Any) -> float:
        if isinstance(value, str) and self._store.knobs.numeric_strings == "accept":
            try:
                value = float(value)
            except ValueError:
                value = None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:  # NaN is not, either
            raise Unusable("value must be a number")
        found: float = value
        return found

    def _object(self, model: str, external_id: str) -> Thing:
        found = self._store.tables[MEASURED[model]].find("externalId", external_id)
        if not found:
            raise _Unmatched(f"{model} with this externalId not found")
        ambiguous = self._store.knobs.ambiguous
        if len(found) > 1 and ambiguous == "drop":
            raise _Unmatched(f"several of {model} with this externalId")
        return found[-1 if ambiguous == "last" else 0]
