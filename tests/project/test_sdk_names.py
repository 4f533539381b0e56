"""The SDK's private names that the plugins use, and the packages that they import."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
import sys
import typing as t

import pytest
from singer_sdk import Stream, Tap, Target
from singer_sdk.plugin_base import PluginBase
from tap_pendo.streams.base_stream import PendoStream
from tap_pendo.streams.message_writer import BlockWriter
from tap_pendo.tap import TapPendo
from target_planhat.target import TargetPlanhat

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if t.TYPE_CHECKING:
    from pathlib import Path

PLUGINS = {"tap-pendo": "tap_pendo", "target-planhat": "target_planhat"}
# Methods that are overridden or called: without them, or with other parameters, nothing would fail
METHODS: dict[type, dict[str, str]] = {
    PluginBase: {"_validate_config": "(self, *, raise_errors)"},
    Tap: {"_handle_termination": "(self, signum, frame)"},
    Target: {"_handle_termination": "(self, signum, frame)"},
    Stream: {
        "_finalize_state": "(self, state)",
        "_increment_stream_state": "(self, latest_record, *, context)",
        "_sync_batches": "(self, batch_config, context)",
        "_sync_records": "(self, context, *, write_messages)",
        "_write_activate_version_message": "(self, full_table_version)",
        "_write_batch_message": "(self, encoding, manifest)",
        "_write_record_message": "(self, record)",
        "_write_starting_replication_value": "(self, context)",
        "_write_state_message": "(self)",
    },
}
ATTRIBUTES: dict[type, set[str]] = {
    PluginBase: {"_config", "_env_var_config"},
    Tap: {"_streams"},
    Stream: {"_schema", "_stream_version", "_tap"},
}


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [(owner, *method) for owner, methods in METHODS.items() for method in methods.items()],
)
def test_a_private_method_of_the_sdk_is_what_the_plugins_take_it_for(
    owner: type, name: str, parameters: str
) -> None:
    assert _parameters(vars(owner)[name]) == parameters


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in ATTRIBUTES.items() for name in sorted(names)],
)
def test_a_private_attribute_of_the_sdk_exists(owner: type, name: str) -> None:
    sources = (inspect.getsource(each) for each in owner.__mro__[:-1])
    assert any(re.search(rf"self\.{name}\b.* = |def {name}\(", source) for source in sources)


@pytest.mark.parametrize("own", [TapPendo, TargetPlanhat, PendoStream, BlockWriter])
def test_each_private_name_that_is_overridden_is_guarded(own: type) -> None:
    theirs = [base for base in own.__mro__ if base.__module__.startswith("singer_sdk")]
    found = {
        name
        for name in vars(own)
        if re.match(r"_[a-z]", name) and any(name in vars(base) for base in theirs)
    }
    guarded = {n for names in (*METHODS.values(), *ATTRIBUTES.values()) for n in names}
    assert found - {"_abc_impl"} <= guarded


@pytest.mark.parametrize(("plugin", "package"), PLUGINS.items())
def test_each_package_that_is_imported_is_declared(
    plugin: str, package: str, project: Path
) -> None:
    declared = tomllib.loads((project / plugin / "pyproject.toml").read_text())["project"]
    optional = declared.get("optional-dependencies", {})
    lines = [*declared["dependencies"], *(each for some in optional.values() for each in some)]
    names = {_normal(re.match(r"[\w.-]+", line)[0]) for line in lines}  # type: ignore[index]
    distributions = importlib.metadata.packages_distributions()
    missing = {
        module
        for file in (project / plugin / package).rglob("*.py")
        for module in _imported(ast.parse(file.read_text()))
        if module not in {package, *sys.stdlib_module_names}
        and not names & {_normal(each) for each in distributions.get(module, ())}
    }
    assert missing == set()


def _parameters(method: t.Any) -> str:
    plain = []
    for parameter in inspect.signature(method).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in plain:
            plain.append("*")
        plain.append(parameter.name)
    return f"({', '.join(plain)})"


def _imported(tree: ast.Module) -> t.Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
