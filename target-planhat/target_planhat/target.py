"""The target: its command line, and the refusal of input that it cannot deliver yet."""

from __future__ import annotations

import typing as t

import click
from singer_sdk import Target
from singer_sdk.helpers.capabilities import PluginCapabilities

if t.TYPE_CHECKING:
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.plugin_base import _ConfigInput


class TargetPlanhat(Target):
    """Singer target for Planhat: Pendo usage as user activities and custom metrics."""

    name = "target-planhat"
    package_name = "target-planhat"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = {"type": "object", "properties": {}}
    capabilities: t.ClassVar[list[CapabilitiesEnum]] = [PluginCapabilities.ABOUT]

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, t.Any]) -> None:
        """Add none of the SDK's settings: nothing here would act on them."""

    @classmethod
    def invoke(  # type: ignore[override]
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: t.IO[str] | None = None,
    ) -> None:
        """Tell about the target; refuse to take records, which would be lost."""
        del config, file_input
        if about:
            cls.print_about(about_format)
            return
        raise click.ClickException(
            "target-planhat cannot deliver yet: no input is read, nothing is sent to Planhat"
        )
