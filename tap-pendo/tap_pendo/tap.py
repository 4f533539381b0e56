"""The tap: its command line, its streams in order, and how a run begins and ends."""

from __future__ import annotations

import contextlib
import copy
import gc
import json
import os
import signal
import sys
import threading
import typing as t

import click
import dotenv
from singer_sdk import Tap
from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.mapper import PluginMapper, RemoveRecordTransform
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput
from singer_sdk.singerlib import Catalog, StateMessage
from singer_sdk.tap_base import CliTestOptionValue

from tap_pendo.api.client import PendoClient
from tap_pendo.calendar import utc_now
from tap_pendo.catalog import CATALOG
from tap_pendo.config import settings, stream_maps
from tap_pendo.config.run_context import Run
from tap_pendo.config.validation import own_state, problems, require_access, sentences
from tap_pendo.errors import OutputError, TapError, log_place, unexpected
from tap_pendo.reading import plan as plan_text
from tap_pendo.reading.plan import run_plan
from tap_pendo.streams.discovery import made
from tap_pendo.streams.message_writer import BlockWriter, write_out
from tap_pendo.streams.windowed import SyncWindowsStream

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from singer_sdk import Stream

    from tap_pendo.reading.plan import RunPlan
    from tap_pendo.streams.base_stream import PendoStream

_HELP = {
    "about_format": "Output style of --about, and of --plan if it is json",
    "discover": "Print the catalogue.",
    "test": "Say what the key may do (--test), or print the schemas (--test=schema).",
}
# A signal must end the process within ten seconds, even if nobody reads our output.
_GRACE_SECONDS = 8


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Turn what ends the process into one line, without values and traceback.

    Raises:
        TapError: that line.
    """
    try:
        yield
    except OutputError as error:
        raise TapError(str(error)) from None
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - nobody knows what
        log_place(error)
        raise TapError(f"The run failed: {unexpected(error)}") from None


def _say(text: str) -> None:
    write_out(text.encode() + b"\n")


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
    _signal = ""
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
        """Map the selected streams; for one that is not, the SDK would take a map for wrong.

        Raises:
            TapError: the setting `stream_maps` is wrong, in the SDK's words.
        """
        # a copy, as the SDK takes `__else__` out of it
        config = copy.deepcopy(dict(self.config))
        wished = self.config.get("stream_maps") or {}
        try:
            self.mapper = PluginMapper(config, self.logger)
            self._register_streams()
        except AttributeError:
            # Faker has no other error for it
            raise TapError(
                "setting `faker_config.locale` must be a locale of Faker, such as de_DE"
            ) from None
        except (StreamMapConfigError, MapExpressionError, NotImplementedError) as error:
            said = stream_maps.sentence(error, wished)
            raise TapError(f"setting `stream_maps` is not valid: {said}") from None
        if wished:
            fields = {
                name: entry.schema.to_dict().get("properties", {}).keys()
                for name, entry in self.catalog.items()
            }
            if unknown := [*stream_maps.unknown_fields(wished, fields, [*self.streams])]:
                raise TapError("; ".join(unknown))
            stream_maps.prepare(self.mapper)

    def _register_streams(self) -> None:
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
        streams = {row.name: row.by_default for row in CATALOG}
        lines = problems(self._config, errors, schema["properties"], streams)
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
            raise TapError(f"--config {files} must be a readable JSON object") from None

    # Entries: what goes wrong gives one line

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Add `--plan` to the SDK's options."""
        command = super().get_singer_command()
        for param in command.params:
            if isinstance(param, click.Option):
                param.help = _HELP.get(str(param.name), param.help)
        about = "Say what a run would read: windows, calls, rows and minutes. Only counts are read."
        command.params.append(click.Option(["--plan"], is_flag=True, help=about))
        return command

    @classmethod
    @_one_line()
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
        """Run the tap, or print what it is, or what a run would read."""
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        config = config or _ConfigInput()
        tap = cls(
            config=config.config,
            parse_env_config=config.parse_env,
            state=own_state(_json_object(state, "--state") or {}),
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
            _say(json.dumps(plan_text.as_json(found), indent=2))
        else:
            _say(plan_text.as_text(found))

    def plan(self) -> RunPlan:
        """Say what a run would read of the selected streams; only counts are asked for."""
        self._tell_left_out()
        try:
            streams = ((stream.name, stream.planned) for stream in self._read_streams())
            return run_plan(self.run, streams)
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
        return self._has_entry(stream.name) and stream.selected

    def _tell_left_out(self) -> None:
        """Say in one line which streams are selected and not read, since they are costly."""
        names = [
            name
            for name, stream in self.streams.items()
            if t.cast("PendoStream", stream).left_out
            and self._has_entry(name)
            and t.cast("PendoStream", stream).chosen
        ]
        if names:
            self.logger.info(
                "Costly or unverified streams are read only if `costly_streams` names them; "
                "selected, but not read: %s",
                ", ".join(names),
            )

    def _has_entry(self, name: str) -> bool:
        return self.input_catalog is not None and self.input_catalog.get_stream(name) is not None

    def sync(self) -> int:
        """Read all selected streams; give the exit code."""
        self._syncing = True
        self._tell_left_out()
        if not any(stream.selected for stream in self.streams.values()):
            self.logger.warning("No stream is selected: nothing is read")
        try:
            return self._synced()
        except OutputError as error:
            # threads that read ahead are not waited for
            self.run.stop.set()
            if self._signal:
                self._say_stopped()
            else:
                self.logger.error("%s", error)  # noqa: TRY400 - one line
            return self.run.stop_code
        finally:
            self.run.client.close()

    def _synced(self) -> int:
        """Read and write; nothing more is written once the output takes no more.

        Raises:
            OutputError: as said.
            SystemExit: a signal asked to end.
        """
        try:
            self.sync_all()
        except SystemExit:
            self.write_message(StateMessage(value=self.state))
            self._say_stopped()
            raise
        sync_windows = self.streams["sync_windows"]
        if isinstance(sync_windows, SyncWindowsStream):
            sync_windows.ended()
        self.message_writer.flush()  # type: ignore[attr-defined]
        return self.run.exit_code()

    def _say_stopped(self) -> None:
        self.logger.warning(
            "Stopped by %s; the next run resumes from the last STATE that was written", self._signal
        )

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Only raise a flag while records flow: the window in hand is dropped, lines stay whole."""
        del frame
        code = 128 + signum
        if not self._syncing:
            sys.exit(code)
        self.run.stop_code, self._signal = code, signal.Signals(signum).name
        self.run.stop.set()
        timer = threading.Timer(_GRACE_SECONDS, os._exit, (code,))
        timer.daemon = True
        timer.start()

    @classmethod
    @_one_line()
    def cb_discover(
        cls,
        ctx: click.Context,
        param: click.Option,  # noqa: ARG003 - click's
        value: bool,  # noqa: FBT001 - click's
    ) -> None:
        """Print the catalogue."""
        if value:
            tap = cls._from_context(ctx, setup_mapper=False)
            _say(tap.catalog_json_text)
            tap.run.client.close()
            ctx.exit()

    @classmethod
    @_one_line()
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
                _say(sentence)
        tap.run.client.close()
        ctx.exit()

    @classmethod
    def _from_context(cls, ctx: click.Context, *, setup_mapper: bool = True) -> TapPendo:
        for file in ctx.params.values():
            if hasattr(file, "close"):
                file.close()  # a state or a catalogue is not looked at here
        config = ctx.params.get("config", _ConfigInput())
        return cls(
            config=config.config, parse_env_config=config.parse_env, setup_mapper=setup_mapper
        )


def _catalog(catalog: dict[str, t.Any] | None) -> Catalog | None:
    if catalog is None:
        return None
    try:
        return Catalog.from_dict(catalog)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise TapError("--catalog: must be a catalogue as `--discover` prints it") from None


def _json_object(file: t.IO[str] | None, option: str) -> dict[str, t.Any] | None:
    if file is None:
        return None
    with file:
        try:
            # bytes: a byte order mark, as Windows writes it, is not part of the text
            content = json.loads(file.buffer.read().decode("utf-8-sig"))  # type: ignore[attr-defined]
        except ValueError:
            content = None
    if not isinstance(content, dict):
        raise TapError(f"{option}: must be a file that holds one JSON object")
    return content
