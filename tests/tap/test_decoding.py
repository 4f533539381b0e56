"""Incremental JSON: whatever the strings, the cuts and the breaks, no row is lost or made up."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_pendo import json_stream
from tap_pendo.errors import BrokenBodyError

TRICKY = ["},{", "]}", '"results":[', '\\"', '"', "{", "}", "[", "],", "\\", "😀", "\n"]
texts = st.lists(st.sampled_from(TRICKY) | st.text(max_size=3), max_size=4).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
rows = st.lists(st.dictionaries(texts, values, max_size=4), max_size=6)


def chunks(body: bytes, size: int) -> list[bytes]:
    return [body[i : i + size] for i in range(0, len(body), size)]


def decoded(parts: t.Iterable[bytes]) -> list[t.Any]:
    return [row for block in json_stream.blocks(parts) for row in block]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be cut after a few bytes, as real ones are after 256 KiB."""
    monkeypatch.setattr(json_stream, "_BLOCK", 16)


@given(rows, st.integers(1, 40), st.sampled_from([None, 0, 2]), st.booleans())
def test_all_rows_arrive(
    expected: list[t.Any], size: int, indent: int | None, started: bool
) -> None:
    head = {"startTime": 1, "messages": ['"results":[{}]']} if started else {}
    body = json.dumps({**head, "results": expected, "more": [1]}, indent=indent).encode()
    assert decoded(chunks(body, size)) == expected


@given(rows, st.integers(1, 40), st.data())
def test_a_cut_body_is_told_and_its_rows_are_whole(
    expected: list[t.Any], size: int, data: st.DataObject
) -> None:
    body = json.dumps({"startTime": 1, "results": expected}).encode()
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    seen = []
    with pytest.raises(BrokenBodyError):
        for block in json_stream.blocks(chunks(cut, size)):
            seen += block
    assert seen == expected[: len(seen)]


@pytest.mark.parametrize("body", [b'{"results":null}', b'{"results": []}', b'{"startTime":5}'])
def test_no_rows(body: bytes) -> None:
    assert decoded([body]) == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"oops", b"[]", b'{"results":[1]}', b'{"results":{}}'),
        *(b"{}", b'{"message":"Endpoint request timed out"}', b'{"errors":["results"]}'),
    ],
)
def test_another_document_is_an_error(body: bytes) -> None:
    with pytest.raises(BrokenBodyError):
        decoded([body])


def test_rows_come_before_the_body_ends() -> None:
    def endless() -> t.Iterator[bytes]:
        yield b'{"results":[' + b'{"a":"0123456789"},' * 3
        raise AssertionError("asked for more than was needed")

    assert next(json_stream.blocks(endless())) == [{"a": "0123456789"}] * 2
