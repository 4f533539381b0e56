"""Expressions: how they are read, and the functions that they may call."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from emulation.clock import parse_moment
from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, VisitError

from pendo_emulator.product.calendar import Calendar
from pendo_emulator.product.people import is_anonymous
from pendo_emulator.values import ARITHMETIC, Compare, comparisons, rank, same, truth

_ANY_NUMBER = 1_000
_MISSING = (1970, 1, 1, 0, 0, 0)  # what stands for the parts of a date that are not given
_PERIODS = {
    "hourly": "hour",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "hour": "hour",
    "day": "day",
    "week": "week",
    "month": "month",
    "quarterly": "quarter",
    "quarter": "quarter",
}


class Surroundings(Protocol):
    """What time-dependent functions need: the moment of the request and the calendar."""

    @property
    def now(self) -> int:
        """The moment of the request, epoch milliseconds."""

    @property
    def calendar(self) -> Calendar:
        """The subscription's calendar."""


@dataclass(frozen=True)
class Function:
    """A function of `least` to `most` arguments."""

    body: Callable[..., Any]
    least: int
    most: int


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, str):
        return isinstance(part, str) and part in whole
    return isinstance(whole, list) and any(same(item, part) for item in whole)


def _starts_with(whole: Any, part: Any) -> bool:
    return isinstance(whole, str) and isinstance(part, str) and whole.startswith(part)


def _split(text: Any, separator: Any) -> list[str] | None:
    usable = isinstance(text, str) and isinstance(separator, str) and separator
    return text.split(separator) if usable else None


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, str | list | dict) else None


def _is_nil(value: Any) -> bool:
    return value is None or value == ""


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _to_string(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _date(calendar: Calendar, *parts: Any) -> int | None:
    """Return the moment of `date(2024,1,15[,h,m,s])`, local, or of `date("2024-01-15")`."""
    if len(parts) == 1 and isinstance(parts[0], str):
        return _parsed_date(calendar, parts[0])
    if not all(isinstance(part, int) for part in parts):
        return None
    given = [*parts, *_MISSING[len(parts) :]]
    year, month, day, hours, minutes, seconds = given
    start = calendar.midnight(year, month, day)
    return int(start + 1000 * (hours * 3600 + minutes * 60 + seconds))


def _parsed_date(calendar: Calendar, text: str) -> int:
    if "T" in text or " " in text:
        return parse_moment(text)
    year, month, day = map(int, text.split("-"))
    return calendar.midnight(year, month, day)


def _date_add(calendar: Calendar, moment: Any, amount: Any, unit: Any) -> int | None:
    if not (isinstance(moment, int) and isinstance(amount, int) and isinstance(unit, str)):
        return None
    return calendar.add(moment, amount, unit.rstrip("s") + "s")


def _start_of_period(calendar: Calendar, period: Any, moment: Any) -> int | None:
    unit = _PERIODS.get(period) if isinstance(period, str) else None
    return calendar.floor(unit, moment) if unit and isinstance(moment, int) else None


def _pure(body: Callable[..., Any], least: int, most: int | None = None) -> Any:
    function = Function(body, least, least if most is None else most)
    return lambda _surroundings: function


def _timed(body: Callable[..., Any], least: int, most: int) -> Any:
    """Return the maker of a function of times; it is null where there is no such time."""

    def make(surroundings: Surroundings) -> Function:
        def call(*values: Any) -> Any:
            try:
                return body(surroundings.calendar, *values)
            except (KeyError, OverflowError, ValueError):
                return None

        return Function(call, least, most)

    return make


FUNCTIONS: dict[str, Callable[[Surroundings], Function]] = {
    "if": _pure(lambda condition, yes, no: yes if truth(condition) else no, 3),
    "isNull": _pure(lambda value: value is None, 1),
    "isNil": _pure(_is_nil, 1),
    "isEmpty": _pure(_is_empty, 1),
    "isNumber": _pure(lambda value: rank(value) == rank(0), 1),
    "isString": _pure(lambda value: isinstance(value, str), 1),
    "isBoolean": _pure(lambda value: isinstance(value, bool), 1),
    "isList": _pure(lambda value: isinstance(value, list), 1),
    "identified": _pure(lambda value: isinstance(value, str) and not is_anonymous(value), 1),
    "contains": _pure(_contains, 2),
    "startsWith": _pure(_starts_with, 2),
    "split": _pure(_split, 2),
    "toLowerCase": _pure(lambda text: text.lower() if isinstance(text, str) else None, 1),
    "toString": _pure(_to_string, 1),
    "len": _pure(_length, 1),
    "list": _pure(lambda *values: list(values), 0, _ANY_NUMBER),
    "now": lambda surroundings: Function(lambda: surroundings.now, 0, 0),
    "date": _timed(_date, 1, 6),
    "dateAdd": _timed(_date_add, 3, 3),
    "startOfPeriod": _timed(_start_of_period, 2, 2),
}


Row = dict[str, Any]
Evaluate = Callable[[Row], Any]

_GRAMMAR = r"""
    ?start: either
    ?either: both | either "||" both -> or_
    ?both: equality | both "&&" equality -> and_
    ?equality: relation | equality EQUAL relation -> compare
    ?relation: sum | relation RELATION sum -> compare
    ?sum: product | sum ADD product -> arithmetic
    ?product: unary | product MULTIPLY unary -> arithmetic
    ?unary: postfix | "!" unary -> not_ | "-" unary -> negative
    ?postfix: atom | postfix "." NAME -> member | postfix "[" either "]" -> item
    ?atom: NUMBER -> number
        | STRING -> string
        | NAME "(" (either ("," either)*)? ")" -> call
        | NAME -> name
        | "(" either ")"
    EQUAL: "==" | "!="
    RELATION: "<=" | ">=" | "<" | ">"
    ADD: "+" | "-"
    MULTIPLY: "*" | "/" | "%"
    NAME: /[A-Za-z_$][A-Za-z0-9_$]*/
    NUMBER: /\d+(\.\d+)?([eE][+-]?\d+)?/
    STRING: /"([^"\\]|\\.)*"|`([^`\\]|\\.)*`/s
    %ignore /\s+/
"""


class ExpressionError(ValueError):
    """The text is not an expression; the message says where or why."""


@dataclass(frozen=True)
class Scope:
    """What an expression sees besides the row: the functions' surroundings and the collation."""

    functions: Mapping[str, Function]
    compare: Mapping[str, Compare]


def scope(surroundings: Any, *, casefold: bool = False) -> Scope:
    """Return the scope of one request; `surroundings` has `now` (ms) and `calendar`."""
    functions = {name: make(surroundings) for name, make in FUNCTIONS.items()}
    return Scope(functions, comparisons(casefold=casefold))


def compile_expression(text: Any, scope: Scope) -> Evaluate:
    """Return the function of a row that an expression stands for.

    Raises:
        ExpressionError: for bad syntax, an unknown function or escape, or a non-string.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"expected a string, got {json.dumps(text)}")
    try:
        function: Evaluate = _Compiler(scope).transform(_parser().parse(text))
    except VisitError as error:
        raise ExpressionError(str(error.orig_exc)) from error
    except LarkError as error:
        where = getattr(error, "column", -1)
        raise ExpressionError(f"cannot parse {text!r} at column {where}") from error
    return function


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr")


def _unquote(literal: str) -> str:
    """Return the text of a literal; escapes are JSON's, and the backtick's own.

    Raises:
        ExpressionError: for an unknown escape.
    """
    body = literal[1:-1]
    if "\\" not in body:
        return body
    pieces = body.split("\\\\")
    if literal[0] == "`":
        pieces = [_as_json(piece) for piece in pieces]
    try:
        return str(json.loads('"' + "\\\\".join(pieces) + '"', strict=False))
    except ValueError as error:
        raise ExpressionError(f"bad escape in {literal}") from error


def _as_json(piece: str) -> str:
    """Return a piece of a backtick literal as a piece of a JSON string."""
    return piece.replace('\\"', '"').replace('"', '\\"').replace("\\`", "`")


class _Compiler(Transformer[Token, Evaluate]):
    """Turns the parse tree, leaves first, into closures."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    @v_args(inline=True)
    def number(self, token: Token) -> Evaluate:
        value: int | float = int(token) if token.isdigit() else float(token)
        return lambda _row: value

    @v_args(inline=True)
    def string(self, token: Token) -> Evaluate:
        value = _unquote(str(token))
        return lambda _row: value

    @v_args(inline=True)
    def name(self, token: Token) -> Evaluate:
        constants = {"true": True, "false": False, "null": None}
        field = str(token)
        if field in constants:
            value = constants[field]
            return lambda _row: value
        return lambda row: row.get(field)

    @v_args(inline=True)
    def member(self, owner: Evaluate, token: Token) -> Evaluate:
        field = str(token)

        def read(row: Row) -> Any:
            found = owner(row)
            return found.get(field) if isinstance(found, dict) else None

        return read

    @v_args(inline=True)
    def item(self, owner: Evaluate, index: Evaluate) -> Evaluate:
        def read(row: Row) -> Any:
            found, at = owner(row), index(row)
            if isinstance(found, dict) and isinstance(at, str):
                return found.get(at)
            inside = isinstance(found, list) and isinstance(at, int) and 0 <= at < len(found)
            return found[at] if inside else None

        return read

    @v_args(inline=True)
    def or_(self, left: Evaluate, right: Evaluate) -> Evaluate:
        return lambda row: truth(left(row)) or truth(right(row))

    @v_args(inline=True)
    def and_(self, left: Evaluate, right: Evaluate) -> Evaluate:
        return lambda row: truth(left(row)) and truth(right(row))

    @v_args(inline=True)
    def not_(self, value: Evaluate) -> Evaluate:
        return lambda row: not truth(value(row))

    @v_args(inline=True)
    def negative(self, value: Evaluate) -> Evaluate:
        minus = ARITHMETIC["-"]
        return lambda row: minus(0, value(row))

    @v_args(inline=True)
    def compare(self, left: Evaluate, sign: Token, right: Evaluate) -> Evaluate:
        if sign == "==":
            return lambda row: same(left(row), right(row))
        if sign == "!=":
            return lambda row: not same(left(row), right(row))
        holds = self._scope.compare[str(sign)]
        return lambda row: holds(left(row), right(row))

    @v_args(inline=True)
    def arithmetic(self, left: Evaluate, token: Token, right: Evaluate) -> Evaluate:
        compute = ARITHMETIC[str(token)]
        return lambda row: compute(left(row), right(row))

    @v_args(inline=True)
    def call(self, token: Token, *arguments: Evaluate) -> Evaluate:
        function = self._scope.functions.get(str(token))
        if function is None:
            raise ExpressionError(f"unknown function {token}")
        if not function.least <= len(arguments) <= function.most:
            raise ExpressionError(f"wrong number of arguments for {token}")
        body = function.body
        return lambda row: body(*[argument(row) for argument in arguments])
