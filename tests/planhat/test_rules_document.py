"""docs/planhat-rules.md: its examples are valid rules, and it leaves out no key."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml
from singer_sdk.plugin_base import JSONSchemaValidator
from target_planhat.config import rule_parser
from target_planhat.config.settings import ACTIVITIES, METRICS, SCHEMA
from target_planhat.config.validation import problems

TEXT = (Path(__file__).parents[2] / "docs" / "planhat-rules.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, t.Any]] = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_valid(example: dict[str, t.Any]) -> None:
    config = {"tenant_token": "t", "api_token": "t", **example}

    assert problems(config, JSONSchemaValidator(SCHEMA).iter_errors(config)) == []


def test_the_rule_that_is_shown_first_is_the_default() -> None:
    assert rule_parser.read(EXAMPLES[0]) == rule_parser.read({})


@pytest.mark.parametrize(("title", "rules"), [("Activities", ACTIVITIES), ("Metrics", METRICS)])
def test_each_key_is_explained(title: str, rules: dict[str, t.Any]) -> None:
    part = re.search(rf"^## {title}\n(.*?)^## ", TEXT, re.DOTALL | re.MULTILINE)
    assert part
    table = part[1].split("| Key |")[1]
    keys = {
        key
        for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", line)
    }

    assert keys == rules["items"]["properties"].keys()
