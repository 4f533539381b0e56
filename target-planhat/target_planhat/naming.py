"""Knows what activities are called: texts used before, or names learnt from definitions."""

from __future__ import annotations

import typing as t
from collections import Counter

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from target_planhat.ledger.known import Known
    from target_planhat.rules import Rule


class Naming:
    """The action texts of items. `whole` are the streams whose definitions all came in this run.

    An id that is not among all definitions stands for the name; else its items wait.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self.whole: set[str] = set()
        self.awaited: dict[str, str] = {}
        self.nameless: Counter[str] = Counter()

    def actions(self, rule_id: int, rule: Rule, entities: Collection[str]) -> dict[str, str]:
        """Give the texts of entities (JSON arrays of the action's fields), where they are known."""
        action = rule.action
        if action is None:
            return {}
        found = self._known.actions(rule_id, entities)
        news = {entity: msgspec.json.decode(entity) for entity in set(entities) - found.keys()}
        if action.named is None or action.definitions is None:
            return found | {entity: action.text(texts) for entity, texts in news.items()}
        ids = {texts[action.named] for texts in news.values()}
        names = self._known.named(action.definitions, ids)
        for entity, texts in news.items():
            id_ = texts[action.named]
            name = names.get(id_)
            if name is None and action.definitions in self.whole:
                name = id_
                self.nameless[action.definitions] += 1
            if name is not None:
                found[entity] = action.text(texts, name)
            else:
                self.awaited[rule.name] = action.definitions
        return found

    def keep(self, rule_id: int, used: Mapping[str, str]) -> None:
        """Keep the texts that are used: what is renamed in Pendo stays one activity in Planhat."""
        self._known.keep_actions(rule_id, used)

    @staticmethod
    def reason(rule: Rule) -> str:
        """Say what items without a text wait for."""
        stream = rule.action.definitions if rule.action else None
        return f"its name has not come yet: it is learnt from the stream `{stream}`"
