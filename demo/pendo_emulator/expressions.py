"""Knows Pendo's expression language: parses one text, once, into a Python function of a row."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, VisitError

from pendo_emulator.functions import FUNCTIONS, Function
from pendo_emulator.values import ARITHMETIC, Compare, comparisons, same, truth

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
