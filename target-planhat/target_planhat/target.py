"""The target: its command line, the messages it reads, and how a run ends."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
import typing as t

import click
import dotenv
from singer_sdk import Target
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities
from singer_sdk.plugin_base import JSONSchemaValidator, _ConfigInput

from target_planhat import ledger_command, messages, settings
from target_planhat.errors import StoppedError, TargetError
from target_planhat.ledger_command import Wish
from target_planhat.problems import problems
from target_planhat.run import Run

if t.TYPE_CHECKING:
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from target_planhat.report import Outcome

# A signal must end the process within ten seconds, whatever it waits for
_GRACE_SECONDS = 9.5
# Objects more than before, after which Python looks for cycles among the new ones
_GARBAGE = 50_000


def now() -> int:
    """Read the clock, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class TargetPlanhat(Target):
    """Singer target for Planhat: Pendo usage as user activities and custom metrics."""

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
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the configuration files; one that cannot be read gives one line."""
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError):
            files = ", ".join(name for name in value if name != "ENV")
            raise TargetError(f"--config {files}: allowed is a readable JSON object") from None

    # Entries

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Add `--ledger` to the SDK's options."""
        command = super().get_singer_command()
        for param in command.params:
            if isinstance(param, click.Option) and param.name == "about_format":
                param.help = "Output style of --about, and of --ledger if it is json"
        command.params.append(click.Option(["--ledger"], is_flag=True, help=ledger_command.HELP))
        command.params += [
            click.Option([option], metavar=value, help=f"With --ledger: {told}")
            for option, value, told in ledger_command.WISHES
        ]
        return command

    @classmethod
    def invoke(
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: t.IO[str] | None = None,
        ledger: bool = False,
        **wished: str | None,
    ) -> None:
        """Tell about the target, or about its ledger, or read messages and deliver."""
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        config = config or _ConfigInput()
        target = cls(config=config.config, parse_env_config=config.parse_env)
        wish = Wish(**wished)
        if wish.named and not ledger:
            raise TargetError(f"{', '.join(wish.named)}: allowed with --ledger")
        if ledger:
            click.echo(target.ledger(wish, about_format))
            return
        # what is imported stays, and rows are no cycles: to look for them at each few hundred
        # takes a sixth of the time
        gc.freeze()
        gc.set_threshold(_GARBAGE)
        target.listen(file_input)
        sys.exit(target._code)

    def ledger(self, wish: Wish, style: str | None = None) -> str:
        """Do what is wished with the ledger, or say what it holds.

        Raises:
            TargetError: there is no ledger, or it is in use.
        """
        parsed = settings.parsed(self.config)
        if wish.named:
            return "\n".join(ledger_command.carried_out(parsed, wish))
        found = ledger_command.overview(parsed, now())
        return json.dumps(found, indent=2) if style == "json" else ledger_command.as_text(found)

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
        # bytes where there are any: what is no UTF-8 is then told by its line
        lines = getattr(source, "buffer", source)
        run = Run(
            settings.parsed(self.config),
            now=lambda: now(),  # noqa: PLW0108 - tests set it
            stop=stop,
            say=self._say_state,
        )
        # from here on a signal is heeded in order
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
        finally:
            level = self.logger.info if outcome == "done" else self.logger.warning
            level("%s", run.report(outcome, problem))

    def _read(self, run: Run, lines: t.IO[t.Any]) -> None:
        """Handle line after line; a signal is heeded between them."""
        for number, line in enumerate(self._lines(lines), 1):
            row = messages.row(line)
            if row is None:
                self._heed(run, number, line)
                continue
            try:
                run.record(row.stream, row.record)
            except messages.MALFORMED:
                raise messages.broken(number, line) from None

    @staticmethod
    def _heed(run: Run, number: int, line: t.Any) -> None:
        """Handle a line that is no RECORD, or a faulty one."""
        if not line.strip():
            return
        kind, given = messages.message(number, line)
        if kind == "SCHEMA":
            run.schema(given[0], messages.properties(*given))
        elif kind == "STATE":
            run.state(*given)
        else:
            run.activate(*given)

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
    def _say_state(value: t.Any) -> None:
        """Hand a STATE on; Meltano keeps it."""
        try:
            sys.stdout.write(json.dumps(value) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # Python must not find out again when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise TargetError("nobody takes the STATE any more: the pipe is closed") from None

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Raise a flag; only what may wait for long, and changes nothing, is broken off."""
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
