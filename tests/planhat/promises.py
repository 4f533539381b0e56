"""What holds for every run of the target, whatever it met: figures add up, nobody is shown."""

from __future__ import annotations

import json
import logging
import re
import typing as t
from collections import Counter

from target_planhat.rule_model import FATES

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from typing_extensions import Self

Record = dict[str, t.Any]

# columns of rules and of streams that say who did something
_IDS = ("visitor_id", "account_id")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_WORD = re.compile(r"[\w.@+-]+")


class Log(logging.Handler):
    """What a run logs, as it stands on stderr."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, and the traceback if there is one."""
        self.lines.append(self.format(record))

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)


def assert_adds_up(report: Record, messages: Iterable[Record]) -> None:
    """Each record has one fate: by day, by rule, by stream, and in all."""
    rules, streams = report["rules"], report["streams"]
    for counted in (report, *rules, *streams.values()):
        assert counted["received"] == sum(counted[fate] for fate in FATES)
    for rule in rules:
        parts = [*rule["days"].values(), rule["undated"]]
        for fate in ("received", *FATES):
            assert rule[fate] == sum(part[fate] for part in parts)
        for fate in {reason["fate"] for reason in rule["reasons"]}:
            told = sum(each["records"] for each in rule["reasons"] if each["fate"] == fate)
            assert told <= rule[fate]
    for fate in ("received", *FATES):
        assert report[fate] == sum(each[fate] for each in (*rules, *streams.values()))
    received = {stream: counted["received"] for stream, counted in streams.items()}
    for rule in rules:
        assert received.setdefault(rule["stream"], rule["received"]) == rule["received"]
    assert report["records"] == sum(received.values())
    given = Counter(m["stream"] for m in messages if m["type"] == "RECORD")
    if report["outcome"] == "done":
        assert {stream: count for stream, count in received.items() if count} == given
    assert all(count <= given[stream] for stream, count in received.items())


def assert_shows_nobody(
    texts: Collection[str],
    secrets: Iterable[str],
    messages: Iterable[Record],
    *,
    companies: bool = False,
) -> None:
    """Texts that people read hold no token, no e-mail address and no id of a person.

    Ids of companies are in reports only, `companies`.
    """
    ids = set(_ids(messages, ("visitor_id",) if companies else _IDS))
    for text in texts:
        for secret in secrets:
            assert secret not in text
        assert _EMAIL.search(text) is None
        assert ids.isdisjoint(_WORD.findall(text))


def _ids(messages: Iterable[Record], names: Collection[str]) -> Iterable[str]:
    """Ids of people and companies that no other word in a report can be."""
    for message in messages:
        record: Record = message.get("record", {})
        for name in names:
            value = record.get(name)
            if isinstance(value, str) and re.search(r"\d", value) and re.search("[a-z]", value):
                yield value


def parsed(text: str) -> list[Record]:
    """Give the messages of an input, as far as they are some."""
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [m for m in found if isinstance(m, dict) and "type" in m]
