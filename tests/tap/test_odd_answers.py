"""Answers that Pendo should not give: nothing hangs, nothing is lost without a word."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tap_pendo import json_stream
from tap_pendo.api import client as tap_client
from tap_pendo.api import concurrency
from tap_pendo.api.client import PendoClient
from tap_pendo.calendar import from_text, to_ms
from tap_pendo.errors import RefusedError, TapError
from tap_pendo.records.inference import Metadata
from tap_pendo.tap import TapPendo

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import TapRunner

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PendoClient]]:
    """Serve prepared answers, one after the other, and give a client for them."""
    monkeypatch.setattr(tap_client, "FIRST_WAIT", 0.0)
    with contextlib.ExitStack() as stack:

        def serve(*answers: Answer) -> PendoClient:
            waiting = list(answers)

            class Handler(BaseHTTPRequestHandler):
                def log_message(self, *_: t.Any) -> None:
                    """Say nothing."""

                def _answer(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    status, headers, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                do_GET = do_POST = _answer  # noqa: N815 - the server's names

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            client = PendoClient(f"http://127.0.0.1:{server.server_port}", "key", timeout=5)
            stack.callback(client.close)
            return client

        yield serve


@pytest.fixture
def decoded_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many bytes each attempt to decode looks at."""
    seen: list[int] = []
    take = json_stream._take  # noqa: SLF001 - the costly step

    def counting(buffer: bytearray, end: int, note: json_stream.Note) -> list[json_stream.Row]:
        seen.append(end)
        return take(buffer, end, note)

    monkeypatch.setattr(json_stream, "_take", counting)
    return seen


def parts(body: bytes) -> list[bytes]:
    return [body[i : i + 65536] for i in range(0, len(body), 65536)]


def test_a_row_of_megabytes_costs_in_proportion_to_its_size(decoded_bytes: list[int]) -> None:
    row = {"x": [{"k": "},{" * 12}] * 60_000, "y": 1}
    rows = [{"a": 1}, row, row]
    body = json.dumps({"results": rows}, separators=(",", ":")).encode()
    assert [r for block in json_stream.blocks(parts(body)) for r in block] == rows
    assert sum(decoded_bytes) < 40 * len(body)


@pytest.mark.parametrize("bad", [b"null", b"NaN", b'{"a":Nan}', b'{"a":-}', b"7"])
def test_a_row_that_is_no_row_is_told_at_once(bad: bytes, decoded_bytes: list[int]) -> None:
    row = b'{"k":"' + b"x" * 200 + b'"}'
    body = b'{"results":[' + row + b"," + bad + (b"," + row) * 9000 + b"]}"
    with pytest.raises(tap_client.BrokenBodyError):
        list(json_stream.blocks(parts(body)))
    assert sum(decoded_bytes) < 40 * len(body)


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        (b"NaN", "NaN"),
        (b"-Infinity", "-Infinity"),
        (b'"\\ud83e"', "\ufffd"),
        (b'{"\\udd8a": [Infinity]}', {"\ufffd": ["Infinity"]}),
        (b'"\\ud83e\\udd8a NaN"', "\U0001f98a NaN"),
    ],
)
@pytest.mark.parametrize("rows", [3, 9000])
def test_what_json_lacks_is_kept_as_text(odd: bytes, kept: t.Any, rows: int) -> None:
    row = b'{"k":"' + b"x" * 200 + b'"}'
    many = (b"," + row) * rows
    body = b'{"results":[' + row + b',{"k":' + odd + b"}" + many + b"]}"
    told: list[str] = []
    found = [
        r for b in json_stream.blocks(parts(body), lambda name, _: told.append(name)) for r in b
    ]
    assert len(found) == rows + 2
    assert found[1] == {"k": kept}
    assert ("odd" in told) == (odd != b'"\\ud83e\\udd8a NaN"')


@pytest.mark.parametrize(
    "asked", ["0", "0.01", "Wed, 21 Oct 2015 07:28:00 -0000", "Wed, 21 Oct 2015 07:28:00 GMT", "x"]
)
def test_forms_of_retry_after(asked: str, serving: Callable[..., PendoClient]) -> None:
    throttled = (429, {"Retry-After": asked}, b"")
    client = serving(throttled, throttled, (200, {}, b"[1]"))
    assert client.get("/api/v1/page") == [1]


@pytest.mark.parametrize(("asked", "seconds"), [("inf", 900), ("1e12", 900), ("nan", None)])
def test_retry_after_has_a_limit(asked: str, seconds: float | None) -> None:
    response = tap_client.requests.Response()
    response.headers["Retry-After"] = asked
    assert tap_client._retry_after(response) == seconds  # noqa: SLF001 - it is not waited for here


@pytest.mark.parametrize("answer", [(302, {"Location": "http://127.0.0.1:1"}, b""), (404, {}, b"")])
def test_what_is_no_pendo_does_not_blame_the_key(
    answer: Answer, serving: Callable[..., PendoClient]
) -> None:
    client = serving(answer)
    with pytest.raises(RefusedError):
        client.access()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "the answer is HTML"),
        (b"\xef\xbb\xbf<html></html>", "the answer is HTML"),
        (b"It works!", "the answer is text"),
    ],
)
def test_a_host_that_answers_with_a_page_is_named_at_once(
    body: bytes,
    said: str,
    tap: TapRunner,
    serving: Callable[..., PendoClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = serving((200, {"Content-Type": "text/html"}, body))
    waits: list[float] = []
    monkeypatch.setattr(tap_client, "FIRST_WAIT", 1.0)
    monkeypatch.setattr(concurrency, "sleep", waits.append)
    with pytest.raises(TapError, match="check `api_url` and `region`") as raised:
        tap.tap(api_url=client._base_url)  # noqa: SLF001 - where it is served
    assert said in raised.value.message
    assert sum(waits) < 2


@pytest.mark.parametrize("times", [1, 5])
def test_a_page_of_a_proxy_is_asked_past_once_pendo_has_answered(
    times: int, serving: Callable[..., PendoClient]
) -> None:
    page = (200, {"Content-Type": "text/html"}, b"<html>one moment</html>")
    client = serving((200, {}, b'{"valid":true}'), *[page] * times, (200, {}, b"[1]"))
    assert client.access().valid
    assert client.get("/api/v1/page") == [1]


def test_one_page_of_a_proxy_before_the_first_answer_is_asked_past(
    serving: Callable[..., PendoClient],
) -> None:
    client = serving((200, {}, b"<html>one moment</html>"), (200, {}, b'{"valid":true}'))
    assert client.access().valid


def test_one_broken_answer_is_asked_again(tap: TapRunner) -> None:
    tap.pendo.faults.add(
        {"kind": "truncate", "bytes": 5, "source": "apps"},
        {"kind": "truncate", "bytes": 5, "source": "featureEvents", "after": 1},
    )
    select = ("applications", "feature_events")
    output = tap.run(app_ids=[-323232], page_size=20, start_date="2026-03-11", select=select)
    assert tap.exit_code == 0
    assert output.records("applications")
    assert output.records("feature_events")


def test_metadata_that_cannot_be_discovered_gives_one_line(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault = {"kind": "status", "status": 500, "times": None}
    tap.pendo.faults.add({**fault, "path": "/api/v1/metadata/schema/visitor"})
    result, _ = tap.cli(tmp_path, "--discover")
    assert result.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "visitors: its metadata cannot be discovered" in errors[0]


def test_metadata_that_fails_in_a_run_fails_its_stream_only(tap: TapRunner) -> None:
    catalog = tap.tap().catalog_dict
    fault = {"kind": "status", "status": 500, "times": None}
    tap.pendo.faults.add({**fault, "path": "/api/v1/metadata/schema/visitor"})
    made = TapPendo(config=tap.config, catalog=catalog)
    output = tap.collect(made)
    assert tap.exit_code == 1
    # the fields themselves are a list of their own, from the same address
    assert list(made.run.failed) == ["metadata_visitors", "visitors"]
    assert output.records("accounts")
    assert output.records("poll_events")


def test_dimensions_of_other_types_neither_collide_nor_vanish(tap: TapRunner) -> None:
    ts = to_ms(from_text("2026-03-11T03:10:00Z"))
    odd: list[t.Any] = [5, "5", ["a"], ["b"], True, 5.5]
    tap.pendo.world.inject(
        {
            "source": "featureEvents",
            "ts": ts,
            "visitorId": "odd visitor",
            "featureId": "f",
            "accountId": account,
        }
        for account in odd
    )
    output = tap.run(select=("feature_events",), start_date="2026-03-11")
    assert tap.exit_code == 0
    reads = {w["read_at"] for w in output.records("sync_windows")}
    rows = {
        r["row_id"]: r for r in output.records("feature_events") if r["visitor_id"] == "odd visitor"
    }
    assert {r["read_at"] for r in rows.values()} <= reads
    assert sum(r["num_events"] for r in rows.values()) == len(odd)
    # 5 and "5" are one account; each of the others is itself
    assert len(rows) == len(odd) - 1


def test_marks_never_pass_rows_that_a_batch_still_holds(
    tap: TapRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no timer may end the test's own process
    monkeypatch.setattr("tap_pendo.tap._GRACE_SECONDS", 10**6)
    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
    }
    made = tap.tap(select=("feature_events",), batch_config=batch)
    stream = made.streams["feature_events"]
    closed = stream._close  # type: ignore[attr-defined] # noqa: SLF001 - where a signal hurts most

    def close(read: t.Any) -> None:
        closed(read)
        made._handle_termination(15, None)  # noqa: SLF001 - as above

    stream._close = close  # type: ignore[attr-defined] # noqa: SLF001 - as above
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        made.sync()
    assert ended.value.code == 143
    messages = [json.loads(line) for line in out.getvalue().splitlines()]
    assert messages[-1]["type"] == "STATE"
    assert not messages[-1]["value"]["bookmarks"].get("feature_events")


def test_metadata_groups_that_are_no_objects_are_kept() -> None:
    described = Metadata.described({"custom": {"a": {"Type": "string"}}})
    fitted, misfits = described.fit({"auto": [], "custom": "text", "other": 5})
    assert fitted == {"auto": None, "custom": None, "other": 5}
    assert misfits == {"metadata.auto": [], "metadata.custom": "text"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"stream_maps": {"visitors": {"x": "bad(SECRETVALUE"}}},
            "setting `stream_maps.visitors.x`",
        ),
        ({"lookback_days": 1e10}, "setting `lookback_days` must be at most"),
        ({"start_date": "0001-01-01T00:00:00+14:00"}, "setting `start_date`"),
        ({"end_date": "9999-12-31T23:30:00Z"}, "setting `end_date` is out of range"),
    ],
)
def test_settings_at_the_edge(
    settings: dict[str, t.Any],
    said: str,
    tap: TapRunner,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    result, _ = tap.cli(tmp_path, **settings)
    assert result.exit_code == 1
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert said in errors[0]
    assert "SECRETVALUE" not in caplog.text + result.output


@pytest.mark.parametrize(
    "state",
    [
        {"bookmarks": []},
        {"bookmarks": {"events": None}},
        {"events": {"covered_from": "2026-03-01T00:00:00Z"}},
        {"type": "RECORD", "stream": "events", "record": {}},
        {"type": "STATE", "value": [1]},
        {"completed": {"singer_state": {}}, "partial": {}},
    ],
)
def test_a_state_of_another_shape(
    state: dict[str, t.Any], tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result, _ = tap.cli(tmp_path, state=state)
    assert result.exit_code == 1
    (line,) = (r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR)
    assert line.startswith("--state: ")
    assert "must " in line


def test_a_catalog_of_another_shape(
    tap: TapRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "catalog.json").write_text('{"streams":[{"x":1}]}')
    result, _ = tap.cli(tmp_path, "--catalog", str(tmp_path / "catalog.json"))
    assert result.exit_code == 1
    assert "--catalog: must be" in caplog.text


def test_a_catalog_cannot_make_a_list_incremental(tap: TapRunner) -> None:
    catalog = tap.tap().catalog_dict
    for stream in catalog["streams"]:
        stream["replication_method"] = "INCREMENTAL"
        stream.pop("replication_key", None)
    made = TapPendo(config=tap.config, catalog=catalog)
    for name in ("features", "feature_events", "visitors"):
        made.streams[name].selected = True
    output = tap.collect(made)
    assert tap.exit_code == 0
    assert [m for m in output if m["type"] == "ACTIVATE_VERSION" and m["stream"] == "features"]
    assert output.records("visitors")


def test_people_whose_ids_fill_no_page(tap: TapRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    everybody = [{"visitorId": v, "metadata": {}} for v in (None, None, "", 5, "a", "b")]
    monkeypatch.setattr(type(tap.pendo.world), "visitors", lambda *_, **__: iter(everybody))
    output = tap.run(select=("visitors",), page_size=2)
    assert tap.exit_code == 0
    assert {v["visitor_id"] for v in output.records("visitors")} == {"5", "a", "b"}


def test_the_connection_that_is_no_url_is_refused_in_one_line(tap: TapRunner) -> None:
    with pytest.raises(TapError, match="check `api_url`"):
        tap.tap(api_url="http://[::1")
