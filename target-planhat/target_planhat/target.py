"""The target: its command line, the messages it reads, and how a run ends."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import select
import sys
import threading
import time
import typing as t
from codecs import BOM_UTF8

import click
import dotenv
import msgspec
from singer_sdk import Target
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput

from target_planhat.config import settings
from target_planhat.config.validation import problems
from target_planhat.errors import (
    OutputError,
    StoppedError,
    TargetError,
    log_place,
    unexpected,
)
from target_planhat.pipeline import Run
from target_planhat.reporting import ledger_cli
from target_planhat.reporting.ledger_cli import LedgerAction

if t.TYPE_CHECKING:
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from target_planhat.reporting.report import Outcome

MALFORMED = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises where a text is not JSON."""
_BRACE = ord("{")
_decode = msgspec.json.decode
# The keys of each message, and the type of each
_FORMS: dict[str, dict[str, type]] = {
    "RECORD": {"stream": str, "record": dict},
    "SCHEMA": {"stream": str, "schema": dict},
    "STATE": {"value": object},
    "ACTIVATE_VERSION": {"stream": str},
}
_TYPE_NAMES = {str: "a text", dict: "an object", object: "a value"}


class _Row(msgspec.Struct, gc=False):
    """A RECORD; `record` is JSON of an object."""

    type: t.Literal["RECORD"]
    stream: str
    record: msgspec.Raw


_decode_row = msgspec.json.Decoder(_Row).decode


def record_of(line: bytes | str) -> _Row | None:
    """Return a line as a RECORD; None if it is not one, or lacks a key."""
    try:
        found = _decode_row(line)
    except MALFORMED:
        return None
    return found if memoryview(found.record)[0] == _BRACE else None


def without_mark(line: bytes | str) -> bytes | str:
    """Remove the byte order mark, which files from Windows begin with."""
    return line.removeprefix(BOM_UTF8) if isinstance(line, bytes) else line.removeprefix("\ufeff")


def control_message(number: int, line: bytes | str) -> tuple[str, list[t.Any]]:
    """Return the type of a line's message, and the values of its keys.

    Raises:
        TargetError: it is not a message, or lacks a key; the text shows nothing of the line.
    """
    try:
        found = _decode(line)
    except MALFORMED:
        raise broken_line(number, line) from None
    value = found.get("type") if isinstance(found, dict) else None
    kind = value if isinstance(value, str) else ""
    if kind == "BATCH":
        raise _unusable(number, "is a BATCH message: unset `batch_config` of the tap")
    form = _FORMS.get(kind)
    if form is None:
        raise _unusable(
            number, f"is not a Singer message: its type must be one of {', '.join(_FORMS)}"
        )
    for name, type_ in form.items():
        if name not in found or not isinstance(found[name], type_):
            raise _unusable(number, f"is of type {kind} without `{name}`, {_TYPE_NAMES[type_]}")
    return kind, [found[name] for name in form]


def broken_line(number: int, line: bytes | str) -> TargetError:
    """Return the error for a line that is not JSON."""
    ended = line.endswith(b"\n") if isinstance(line, bytes) else line.endswith("\n")
    return _unusable(number, "is not JSON" if ended else "is not JSON: the input breaks off there")


def _unusable(number: int, reason: str) -> TargetError:
    return TargetError(f"line {number} of the input {reason}. Nothing is sent")


def properties_of(stream: str, schema: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the properties of a SCHEMA.

    Raises:
        TargetError: it has no properties.
    """
    found = schema.get("properties")
    if not isinstance(found, dict):
        raise TargetError(f"the SCHEMA of the stream {stream} has no `properties`: it needs them")
    return found


def write_line(text: str) -> None:
    """Write a whole line to stdout.

    Raises:
        OutputError: the output cannot be written.
    """
    try:
        _write_out(text.encode() + b"\n")
    except OSError as error:
        raise OutputError(error) from None


def _write_out(data: bytes) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        # stdout replaced by a text buffer, as tests do
        sys.stdout.write(data.decode())
        return
    # past Python's buffer, which would keep what could not be written, and try again at the end
    raw = getattr(binary, "raw", binary)
    rest = memoryview(data)
    while rest:
        # a pipe takes a part if a signal comes, and none (None) if it does not block and is full
        taken = raw.write(rest)
        if taken is None:
            select.select([], [raw], [])
        rest = rest[taken or 0 :]


# A signal must end the process within ten seconds, whatever it waits for
_GRACE_SECONDS = 9.5
# Objects more than before, after which Python looks for cycles among the new ones
_GARBAGE = 50_000


@contextlib.contextmanager
def _one_line() -> t.Iterator[None]:
    """Turn an unexpected error into one line, without values and traceback.

    Raises:
        TargetError: that line.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - of any kind
        log_place(error)
        raise TargetError(f"The run failed: {unexpected(error)}") from None


def now() -> int:
    """Read the clock, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def _option(name: str, value: str | None, text: str) -> click.Option:
    """Make an option; one without a value is passed on as its own name."""
    if value is None:
        return click.Option([name], is_flag=True, flag_value=name, default=None, help=text)
    return click.Option([name], metavar=value, help=text)


class TargetPlanhat(Target):
    """Singer target for Planhat: Pendo usage as activities and custom metrics; no stream maps."""

    name = "target-planhat"
    package_name = "target-planhat"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = settings.SCHEMA
    capabilities: t.ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    _reading = False
    _code = 0

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, t.Any]) -> None:
        """Leave the SDK's settings out: nothing here would act on them."""

    # Settings: errors are one clear line, and never show a value

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        schema = self.config_jsonschema
        self._config = settings.with_types(self._config, schema)
        lines = problems(self._config, JSONSchemaValidator(schema).iter_errors(self._config))
        if lines and raise_errors:
            raise TargetError("; ".join(lines))
        return lines

    @classproperty
    def _env_var_config(cls) -> dict[str, t.Any]:  # noqa: N805 - a class property
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
            raise TargetError(f"--config {files}: it must be a readable JSON object") from None

    # Commands: errors are one line

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Add `--ledger` to the SDK's options."""
        command = super().get_singer_command()
        for param in command.params:
            if isinstance(param, click.Option) and param.name == "about_format":
                param.help = "Output style of --about, and of --ledger if it is json"
        command.params.append(click.Option(["--ledger"], is_flag=True, help=ledger_cli.HELP))
        command.params += [
            _option(option, value, f"With --ledger: {text}")
            for option, value, text in ledger_cli.ACTIONS
        ]
        return command

    @classmethod
    @_one_line()
    def invoke(
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: t.IO[str] | None = None,
        ledger: bool = False,
        **ledger_action: str | None,
    ) -> None:
        """Print what the target or its ledger is, or read messages and deliver."""
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        config = config or _ConfigInput()
        target = cls(config=config.config, parse_env_config=config.parse_env)
        action = LedgerAction(**ledger_action)
        if action.requested and not ledger:
            raise TargetError(f"{', '.join(action.requested)}: use it with --ledger")
        if ledger:
            write_line(target.ledger(action, about_format))
            return
        # modules stay, and rows have no cycles: a collection for every few hundred objects takes
        # a sixth of the time
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        target.listen(file_input)
        sys.exit(target._code)

    def ledger(self, action: LedgerAction, style: str | None = None) -> str:
        """Change the ledger as requested, or show what it holds.

        Raises:
            TargetError: there is no ledger, or it is in use.
        """
        parsed = settings.parsed(self.config)
        return ledger_cli.output(parsed, action, now(), as_json=style == "json")

    # A run

    def listen(  # type: ignore[misc]  # a run is reported on however it ends
        self, file_input: t.IO[str] | None = None
    ) -> None:
        """Read messages to the end of input, deliver, and report.

        Raises:
            TargetError: what went wrong, after the report is written.
        """
        stop = threading.Event()
        source = file_input or sys.stdin
        # bytes where there are any: a line that is not UTF-8 can then be named
        lines = getattr(source, "buffer", source)
        run = Run(
            settings.parsed(self.config),
            now=lambda: now(),  # noqa: PLW0108 - tests set it
            stop=stop,
            say=self._write_state,
        )
        # from here on a signal ends the run in order
        self._client, self._stop = run.client, stop
        try:
            run.open()
            self._run(run, lines)
        except StoppedError:
            self.logger.warning("stopped: asked to end before anything was read")
        finally:
            run.close()

    def _run(self, run: Run, lines: t.IO[t.Any]) -> None:
        outcome: Outcome = "failed"
        problem: str | None = "it ended unexpectedly: what is not sent is sent by the next run"
        try:
            self._read(run, lines)
            run.finish()
            outcome, problem = "done", None
        except StoppedError:
            outcome, problem = "stopped", "asked to end: what is not sent is sent by the next run"
        except TargetError as error:
            problem = error.message
            raise
        except Exception as error:
            problem = f"{unexpected(error)}: what is not sent is sent by the next run"
            raise
        finally:
            level = self.logger.info if outcome == "done" else self.logger.warning
            level("%s", run.report(outcome, problem))

    def _read(self, run: Run, lines: t.IO[t.Any]) -> None:
        """Handle line after line; a signal takes effect between them."""
        for number, line in enumerate(self._lines(lines), 1):
            row = record_of(line)
            if row is None:
                self._handle_control_message(
                    run, number, without_mark(line) if number == 1 else line
                )
                continue
            try:
                run.record(row.stream, row.record)
            except MALFORMED:
                raise broken_line(number, line) from None

    @staticmethod
    def _handle_control_message(run: Run, number: int, line: t.Any) -> None:
        """Handle a SCHEMA, STATE or ACTIVATE_VERSION; raise for a line that is not a message."""
        if not line.strip():
            return
        kind, values = control_message(number, line)
        if kind == "SCHEMA":
            run.schema(values[0], properties_of(*values))
        elif kind == "STATE":
            run.state(*values)
        else:
            run.activate(*values)

    def _lines(self, lines: t.IO[t.Any]) -> t.Iterator[t.Any]:
        while True:
            # in this order: a signal that comes before the read must not be slept through
            self._reading = True
            if self._stop.is_set():
                self._reading = False
                raise StoppedError
            line = lines.readline()
            self._reading = False
            if not line:
                return
            yield line

    @staticmethod
    def _write_state(value: t.Any) -> None:
        """Print a STATE; Meltano keeps it."""
        write_line(json.dumps(value))

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Set the flag to stop; reads of input and of Planhat are broken off, posts are not."""
        del frame
        self._code = 128 + signum
        if not hasattr(self, "_stop"):
            sys.exit(self._code)
        self._stop.set()
        timer = threading.Timer(_GRACE_SECONDS, os._exit, (self._code,))
        timer.daemon = True
        timer.start()
        self._client.interrupt()
        if self._reading:
            self._reading = False
            raise StoppedError
