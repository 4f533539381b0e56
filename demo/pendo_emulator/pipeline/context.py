"""Knows what the operators of one request are compiled with: its world, moment and expressions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pendo_emulator.access import Refused, bad_pipeline
from pendo_emulator.knobs import Knobs
from pendo_emulator.pipeline.expressions import (
    Evaluate,
    ExpressionError,
    Row,
    Scope,
    compile_expression,
)
from pendo_emulator.pipeline.table import Table
from pendo_emulator.world import World

Operate = Callable[[Table], Table]
MakeTable = Callable[[], Table]


@dataclass(frozen=True)
class Compiler:
    """What operators are compiled with.

    `steps` compiles a list of steps without a source, `pipeline` one with a source; both check
    everything at once and do the work when the table is read.
    """

    world: World
    now: int
    scope: Scope
    steps: Callable[[list[Any], "Compiler"], Operate]
    pipeline: Callable[[Any, "Compiler"], MakeTable]

    @property
    def knobs(self) -> Knobs:
        """The world's knobs."""
        return self.world.knobs

    def expression(self, operator: str, text: Any) -> Evaluate:
        """Return a compiled expression of an operator.

        Raises:
            Refused: 400 with the operator's name and the reason.
        """
        try:
            return compile_expression(text, self.scope)
        except ExpressionError as error:
            raise bad_pipeline(f"bad {operator}: {error}") from error

    def outputs(self, operator: str, argument: Any) -> dict[str, Evaluate]:
        """Return {output path: expression} of select and eval."""
        if not isinstance(argument, dict) or not argument:
            raise bad(operator, "expected an object of expressions")
        return {name: self.expression(operator, text) for name, text in argument.items()}


def bad(operator: str, reason: str) -> Refused:
    """Return the 400 of an operator that has a bad argument."""
    return bad_pipeline(f"bad {operator}: {reason}")


def only(operator: str, argument: Any, *, needed: set[str], known: set[str]) -> dict[str, Any]:
    """Return an argument that must be an object with the `needed` names, and of `known` ones.

    Raises:
        Refused: 400 where it is not.
    """
    if not isinstance(argument, dict) or not needed <= argument.keys():
        raise bad(operator, f"expected an object with {', '.join(sorted(needed))}")
    unknown = argument.keys() - needed - known
    if unknown:
        raise bad(operator, f"unexpected {', '.join(sorted(unknown))}")
    return argument


def put(row: Row, path: str, value: Any) -> None:
    """Set a dotted path in a row, copying the objects on the way, which others may share."""
    *outer, last = path.split(".")
    for name in outer:
        inner = row.get(name)
        row[name] = dict(inner) if isinstance(inner, dict) else {}
        row = row[name]
    row[last] = value


def field_names(operator: str, value: Any) -> list[str]:
    """Return a list of fields, which must not be empty.

    Raises:
        Refused: 400 where it is not such a list.
    """
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise bad(operator, "expected a list of fields")
    return value
