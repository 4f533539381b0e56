"""docs/errors.md lists each message of the code that tells of something wrong, and no other."""

from __future__ import annotations

import ast
import re
import typing as t

import pytest

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# calls whose texts are shown to the user, beside those of classes that end in Error
_CALLS = {"warning", "error", "once", "_fail", "__init__", "Rejection", "Unmatched", "ValueProblem"}
# modules whose functions return or yield such texts
_TEXTS = {"problems", "pipelines", "known", "database", "dialects", "placing", "matching"}
# modules of which each longer text is shown
_WORDED = {
    *("aggregations", "answers", "bulk", "creation", "delivery", "figures", "items", "matching"),
    *("messages", "naming", "overview", "preparation", "resolving", "rule_reading", "run"),
    *("sinks", "target"),
}
# functions elsewhere of which each longer text is shown
_GIVING = {"advice", "outdated"}
# what tells of something else than a difficulty
_TOLD = {
    "Output style of --about, and of --ledger if it is json",
    "Planhat's … are read",
    "Start of the bucket.",
    "The report is written: …",
    "… end users … created",
}
# what stands inside of other messages
_PARTS = {
    "one of …",
    "out of range",
    "the ledger …",
    "the ledger in PostgreSQL (…/…)",
    "the part for this `tenant_token` of …",
    "what its schema says (…)",
}


@pytest.fixture
def page(project: Path) -> list[list[str]]:
    text = (project / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip("| ") for cell in row] for row in rows]


def messages(project: Path) -> set[str]:
    """Collect the messages of both plugins, each value in them written as an ellipsis."""
    files = [
        file
        for package in ("tap-pendo/tap_pendo", "target-planhat/target_planhat")
        for file in (project / package).rglob("*.py")
    ]
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    giving = [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in _GIVING
    ]
    constants = {
        target.id: node.value
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = {
        re.sub(r"%[.\d]*[dfs]", "…", _text(node, constants))
        for file, tree in trees.items()
        for node in _shown(tree, texts=file.stem in _TEXTS)
    } | {
        re.sub(r"%[.\d]*[dfs]", "…", text)
        for tree in (*giving, *(tree for file, tree in trees.items() if file.stem in _WORDED))
        for text in _longer(tree)
    }
    return {each for each in found if len(re.findall(r"[A-Za-z]{2,}", each)) > 1} - _PARTS - _TOLD


def _shown(tree: ast.AST, *, texts: bool) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name in _CALLS or name.endswith("Error"):
                yield from node.args
        elif texts and isinstance(node, (ast.Return, ast.Yield)) and node.value:
            yield node.value


def _longer(tree: ast.AST) -> Iterator[str]:
    """Give the texts of at least four words that are no docstrings."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        text = _text(node, {}) if isinstance(node, (ast.Constant, ast.JoinedStr)) else "…"
        if len(re.findall(r"\b[A-Za-z]{2,}", text)) > 3:
            yield text
        elif not isinstance(node, ast.JoinedStr):
            yield from _longer(node)


def _text(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (part for part in node.values)
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, constants) + _text(node.right, constants)
    if isinstance(node, ast.Name) and isinstance(constants.get(node.id), ast.Constant):
        return _text(constants[node.id], constants)
    return "…"


def test_each_message_of_the_code_is_listed(project: Path, page: list[list[str]]) -> None:
    listed = {message for row in page for message in row[0].split("<br>")}
    said = messages(project)

    assert len(said) > 190
    assert sorted(said - listed) == []
    assert sorted(listed - said - {"Message", "---"}) == []


def test_each_message_has_its_cause_or_what_to_do(page: list[list[str]]) -> None:
    assert [row[0] for row in page if len(row) != 2 or len(row[1]) < 3] == []
