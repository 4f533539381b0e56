"""The tap: its command line, its streams in order, and how a run begins and ends."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import typing as t
from datetime import datetime

import click
import dotenv
from singer_sdk import Tap
from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.plugin_base import JSONSchemaValidator, PluginBase, _ConfigInput
from singer_sdk.singerlib import Catalog, StateMessage
from singer_sdk.tap_base import CliTestOptionValue

from tap_pendo import plan_texts, settings
from tap_pendo.checks import require_access, require_own_state, sentences
from tap_pendo.client import PendoClient
from tap_pendo.errors import TapError
from tap_pendo.planning import run_plan
from tap_pendo.problems import problems
from tap_pendo.run import Run
from tap_pendo.streams.making import made
from tap_pendo.streams.sync_windows import SyncWindowsStream
from tap_pendo.windows import UTC
from tap_pendo.writer import BlockWriter

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from singer_sdk import Stream

    from tap_pendo.planning import RunPlan
    from tap_pendo.streams.base import PendoStream

# A signal must end the process within ten seconds, even if nobody reads our output.
_GRACE_SECONDS = 8


def utc_now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


class TapPendo(Tap):
    """Singer tap for Pendo: every Pendo object as a stream."""

    name = "tap-pendo"
    package_name = "pendo-planhat-tap-pendo"
    config_jsonschema = settings.SCHEMA
    # visitors and accounts have the customer's own metadata
    dynamic_catalog = True
    message_writer_class = BlockWriter

    _run: Run | None = None
    _syncing = False
    _order: Sequence[str] = ()

    @property
    def run(self) -> Run:
        """What the streams of this run share."""
        if self._run is None:
            parsed = settings.parsed(self.config)
            client = PendoClient(
                parsed.base_url,
                parsed.integration_key,
                timeout=parsed.request_timeout,
                per_second=parsed.max_calls_per_second,
                connections=parsed.concurrency,
            )
            self._run = Run(settings=parsed, client=client, now=utc_now)
        return self._run

    # Streams

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams in the order of a run, which is that of `made`."""
        if self._streams is None:
            found = super().streams
            self._streams = {name: found[name] for name in self._order}
        return self._streams

    def discover_streams(self) -> Sequence[Stream]:
        """Make the streams of the catalogue, once the key and the apps are known good."""
        require_access(self.run)
        streams = made(self, self.run)
        self._order = [stream.name for stream in streams]
        return streams

    def setup_mapper(self) -> None:
        """Map the selected streams; for one that is not, the SDK would take a map for wrong."""
        PluginBase.setup_mapper(self)
        on = {
            name: entry
            for name, entry in self.catalog.items()
            if entry.metadata.resolve_selection()[()]
        }
        self.mapper.register_raw_streams_from_catalog(Catalog(on))
        for name in self.catalog.keys() - on:
            self.mapper.stream_maps[name] = [RemoveRecordTransform(name, {}, None, None)]

    # Settings: one clear line, and never a value

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        self._config = settings.plain(self._config, schema)
        errors = list(JSONSchemaValidator(schema).iter_errors(self._config))
        lines = problems(self._config, errors, schema["properties"])
        if lines and raise_errors:
            raise TapError("; ".join(lines))
        return lines

    @classproperty
    def _env_var_config(cls) -> dict[str, t.Any]:  # noqa: N805 - a class property
        cls.append_builtin_config(cls.config_jsonschema)
        dotenv.load_dotenv(dotenv.find_dotenv(usecwd=True))
        return settings.environment(cls.config_jsonschema, cls._env_var_prefix)

    @classmethod
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the configuration files; one that cannot be read gives one line."""
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError):
            files = ", ".join(name for name in value if name != "ENV")
            raise TapError(f"--config {files}: allowed is a readable JSON object") from None

    # Entries

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Add `--plan` to the SDK's options."""
        command = super().get_singer_command()
        for param in command.params:
            if isinstance(param, click.Option) and param.name == "about_format":
                param.help = "Output style of --about, and of --plan if it is json"
        told = "Say what a run would read: windows, calls, rows and minutes. Only counts are read."
        command.params.append(click.Option(["--plan"], is_flag=True, help=told))
        return command

    @classmethod
    def invoke(  # type: ignore[override]  # noqa: PLR0913 - the options
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: t.IO[str] | None = None,
        catalog: t.IO[str] | None = None,
        plan: bool = False,
    ) -> None:
        """Run the tap, or tell about it, or of what it would do."""
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        config = config or _ConfigInput()
        tap = cls._made(
            config=config.config,
            parse_env_config=config.parse_env,
            state=_state(_json_object(state, "--state")),
            catalog=_catalog(_json_object(catalog, "--catalog")),
            # it would want the columns of all streams
            setup_mapper=not plan,
        )
        if not plan:
            # records hold no cycles: to look for some among them takes a sixth of the time
            gc.freeze()
            gc.set_threshold(100_000, 50, 50)
            sys.exit(tap.sync())
        found = tap.plan()
        if about_format == "json":
            click.echo(json.dumps(plan_texts.as_json(found), indent=2))
        else:
            click.echo(plan_texts.as_text(found))

    @classmethod
    def _made(cls, **arguments: t.Any) -> TapPendo:
        """Make a tap; what the SDK finds wrong with its own settings gives one line, no value."""
        try:
            return cls(**arguments)
        except (StreamMapConfigError, MapExpressionError) as error:
            kind = type(error).__name__
            raise TapError(
                f"setting `stream_maps` is not valid ({kind}): allowed is what the SDK documents"
            ) from None

    def plan(self) -> RunPlan:
        """Say what a run would read of the selected streams; only counts are asked for."""
        try:
            return run_plan(self.run, self._read_streams())
        finally:
            self.run.client.close()

    def _read_streams(self) -> Iterator[PendoStream]:
        """Streams that a run reads: selected, or with a derived one that is."""
        for stream in self.streams.values():
            if any(map(self._is_selected, (stream, *stream.child_streams))):
                yield t.cast("PendoStream", stream)

    def _is_selected(self, stream: Stream) -> bool:
        # without an entry the SDK would ask for the schema, which for some is a read of rows
        if self.input_catalog is None:
            return bool(stream.selected_by_default)
        return self.input_catalog.get_stream(stream.name) is not None and stream.selected

    def sync(self) -> int:
        """Read all selected streams; give the exit code."""
        self._syncing = True
        if not any(stream.selected for stream in self.streams.values()):
            self.logger.warning("No stream is selected: nothing is read")
        try:
            self.sync_all()
            sync_windows = self.streams["sync_windows"]
            if isinstance(sync_windows, SyncWindowsStream):
                sync_windows.ended()
            return self.run.exit_code()
        except BrokenPipeError:
            # nobody reads any more: the target ended and says why
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        finally:
            if self.run.stop.is_set():
                self.write_message(StateMessage(value=self.state))
            self.message_writer.flush()  # type: ignore[attr-defined]
            self.run.client.close()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Only raise a flag while records flow: the window in hand is dropped, lines stay whole."""
        del frame
        code = 128 + signum
        if not self._syncing:
            sys.exit(code)
        self.run.stop_code = code
        self.run.stop.set()
        timer = threading.Timer(_GRACE_SECONDS, os._exit, (code,))
        timer.daemon = True
        timer.start()

    @classmethod
    def cb_discover(
        cls,
        ctx: click.Context,
        param: click.Option,  # noqa: ARG003 - click's
        value: bool,  # noqa: FBT001 - click's
    ) -> None:
        """Print the catalogue."""
        if value:
            tap = cls._from_context(ctx, setup_mapper=False)
            tap.run_discovery()
            tap.run.client.close()
            ctx.exit()

    @classmethod
    def cb_test(
        cls,
        ctx: click.Context,
        param: click.Option,  # noqa: ARG003 - click's
        value: str,
    ) -> None:
        """Say what the key may do (`--test`), or print the schemas (`--test=schema`)."""
        if value == CliTestOptionValue.Disabled.value:
            return
        if value == CliTestOptionValue.Schema.value:
            tap = cls._from_context(ctx)
            tap.write_schemas()
        else:
            tap = cls._from_context(ctx, setup_mapper=False)
            for sentence in sentences(tap.run):
                click.echo(sentence)
        tap.run.client.close()
        ctx.exit()

    @classmethod
    def _from_context(cls, ctx: click.Context, *, setup_mapper: bool = True) -> TapPendo:
        for file in ctx.params.values():
            if hasattr(file, "close"):
                file.close()  # a state or a catalogue is not looked at here
        config = ctx.params.get("config", _ConfigInput())
        return cls._made(
            config=config.config, parse_env_config=config.parse_env, setup_mapper=setup_mapper
        )


def _state(state: dict[str, t.Any] | None) -> dict[str, t.Any] | None:
    require_own_state(state or {})
    return state


def _catalog(catalog: dict[str, t.Any] | None) -> Catalog | None:
    if catalog is None:
        return None
    try:
        return Catalog.from_dict(catalog)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise TapError("--catalog: allowed is a catalogue as `--discover` prints it") from None


def _json_object(file: t.IO[str] | None, option: str) -> dict[str, t.Any] | None:
    if file is None:
        return None
    with file:
        try:
            content = json.load(file)
        except ValueError:
            content = None
    if not isinstance(content, dict):
        raise TapError(f"{option}: allowed is a file that holds a JSON object")
    return content
