"""The target: its command line, and the refusal of input that it cannot deliver yet."""

from __future__ import annotations

import typing as t

import click
import dotenv
from singer_sdk import Target
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.plugin_base import JSONSchemaValidator

from target_planhat import settings
from target_planhat.errors import TargetError
from target_planhat.problems import problems

if t.TYPE_CHECKING:
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.plugin_base import _ConfigInput


class TargetPlanhat(Target):
    """Singer target for Planhat: Pendo usage as user activities and custom metrics."""

    name = "target-planhat"
    package_name = "target-planhat"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = settings.SCHEMA
    capabilities: t.ClassVar[list[CapabilitiesEnum]] = [PluginCapabilities.ABOUT]

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, t.Any]) -> None:
        """Add none of the SDK's settings: nothing here would act on them."""

    # Settings: one clear line, and never a value

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        schema = self.config_jsonschema
        self._config = settings.plain(self._config, schema)
        lines = problems(self._config, JSONSchemaValidator(schema).iter_errors(self._config))
        if lines and raise_errors:
            raise TargetError("; ".join(lines))
        return lines

    @classproperty
    def _env_var_config(cls) -> dict[str, t.Any]:  # noqa: N805 - a class property
        dotenv.load_dotenv(dotenv.find_dotenv(usecwd=True))
        return settings.environment(cls.config_jsonschema, cls._env_var_prefix)

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
