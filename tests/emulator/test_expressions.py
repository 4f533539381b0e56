"""Expressions and their values."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pendo_emulator.pipeline.expressions import ExpressionError, compile_expression, scope
from pendo_emulator.pipeline.request import Surroundings
from pendo_emulator.product.calendar import Calendar

NOW = 1_710_000_000_000  # 2024-03-09T16:00:00Z, a Saturday
NEW_YORK = Calendar(ZoneInfo("America/New_York"))
ROW = {
    "n": 5,
    "zero": 0,
    "text": "Abc",
    "empty": "",
    "yes": True,
    "none": None,
    "list": [1, "two", None],
    "deep": {"er": {"value": 7}},
    "auto__323232": {"lastvisit": 3},
}


def evaluate(text: str, row: dict[str, Any] = ROW, *, casefold: bool = False) -> Any:
    surroundings = Surroundings(NOW, NEW_YORK)
    return compile_expression(text, scope(surroundings, casefold=casefold))(row)


VALUES: list[tuple[str, Any]] = [
    # literals
    ("1", 1),
    ("1.5", 1.5),
    ("-2e3", -2000),
    ("true", True),
    ("null", None),
    ('"a\\"b"', 'a"b'),
    ('"a\\\\"', "a\\"),
    ('"\\n\\t\\u00e9\\ud83e\\udd8a"', "\n\té🦊"),
    ('"new\nline"', "new\nline"),
    ('`say "hi"`', 'say "hi"'),
    ('`say \\"hi\\" \\` \\\\`', 'say "hi" ` \\'),
    # precedence, as in C
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("7 - 2 - 1", 4),
    ("7 / 2", 3.5),
    ("6 / 2", 3),
    ("-7 % 3", -1),
    ("1 + 1 == 2 && 3 > 2", True),
    ("false && false || true", True),
    ("true || false && false", True),
    ("!false == true", True),
    ("1 < 2 == true", True),
    ("now() - 30*24*60*60*1000", NOW - 2_592_000_000),
    # fields
    ("n", 5),
    ("deep.er.value", 7),
    ("deep.missing.value", None),
    ("auto__323232.lastvisit", 3),
    ("list[1]", "two"),
    ("list[9]", None),
    ("n.value", None),
    ('deep["er"].value', 7),
    # null is never more nor less than anything
    ("missing >= 0", False),
    ("missing < 0", False),
    ("missing == null", True),
    ("missing != 1", True),
    ("none >= none", False),
    # types do not mix
    ('n == "5"', False),
    ("yes == 1", False),
    ('n < "9"', False),
    ("n == 5.0", True),
    ("n + missing", None),
    ('text + "d"', "Abcd"),
    ("n / 0", None),
    # strings compare by code point
    ('text < "abc"', True),
    ('"Z" < "a"', True),
    ('"\uffee" < "🦊"', True),
    # truth
    ("!zero", True),
    ("!empty", True),
    ("!list", False),
    # functions
    ("if(n > 3, 1, 2)", 1),
    ("isNull(missing)", True),
    ("isNil(empty)", True),
    ("isNull(empty)", False),
    ("isEmpty(list)", False),
    ("isNumber(yes)", False),
    ("isNumber(n)", True),
    ("isString(text)", True),
    ("isBoolean(yes)", True),
    ("isList(list)", True),
    ('contains(text, "b")', True),
    ('contains(list, "two")', True),
    ("contains(missing, 1)", False),
    ('startsWith(text, "A")', True),
    ('split("a,b", ",")', ["a", "b"]),
    ("toLowerCase(text)", "abc"),
    ("toString(yes)", "true"),
    ("len(list)", 3),
    ("len(n)", None),
    ("list(1, n)", [1, 5]),
    ('startOfPeriod("quarterly", now()) == startOfPeriod("monthly", date(2024, 1, 9))', True),
    ('identified("_PENDO_T_x")', False),
    ("now()", NOW),
    ("date(2024, 1, 15)", 1_705_294_800_000),
    ("date(2024, 1, 15, 12, 30, 1)", 1_705_294_800_000 + 45_001_000),
    ('date("2024-01-15")', 1_705_294_800_000),
    ('date("2024-01-15T00:00:00Z")', 1_705_276_800_000),
    ("date(2024, 13, 1)", None),
    ('date("yesterday")', None),
    ('dateAdd(now(), -1, "hours")', NOW - 3_600_000),
    ('dateAdd(now(), 2, "days")', NOW + 2 * 86_400_000 - 3_600_000),  # the clocks go forward
    ('dateAdd(date(2024, 1, 31), 1, "months")', 1_709_182_800_000),
    ('dateAdd(now(), 1, "eons")', None),
    ('startOfPeriod("daily", now())', 1_709_960_400_000),
    ('startOfPeriod("weekly", now())', 1_709_442_000_000),
    ('startOfPeriod("monthly", now())', 1_709_269_200_000),
    ('startOfPeriod("hourly", now())', NOW),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values(text: str, value: Any) -> None:
    found = evaluate(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a = 1",
        '"open',
        'visitorId > "a"b"',
        "nope()",
        "len()",
        "len(1, 2)",
        "n in [1]",
        '"\\q"',
        "1 +",
        "a..b",
        5,
        None,
        {"field": "n"},
    ],
)
def test_bad_expressions(text: Any) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text)


def test_collation_knob_folds_case_in_comparisons_only() -> None:
    assert evaluate('text < "abd"', casefold=True)
    assert not evaluate('text < "abc"', casefold=True)
    assert not evaluate('text == "abc"', casefold=True)


@given(st.text())
def test_any_text_escaped_as_in_json_equals_itself(text: str) -> None:
    row = {"field": text}

    assert evaluate(f"field == {json.dumps(text)}", row)
    assert evaluate(f"field == {json.dumps(text, ensure_ascii=False)}", row)


@given(st.text(), st.text())
def test_texts_compare_by_code_point(left: str, right: str) -> None:
    row = {"left": left, "right": right}

    assert evaluate("left < right", row) == (left < right)
    assert evaluate("left >= right", row) == (left >= right)


@given(st.text())
def test_a_text_with_only_quotes_and_backslashes_escaped_equals_itself(text: str) -> None:
    literal = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert evaluate(f"field == {literal}", {"field": text})
