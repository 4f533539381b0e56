"""Knows what activities are called: texts used before, or names learnt from definitions."""

from __future__ import annotations

import typing as t
from collections import Counter

import msgspec

from target_planhat.actions import action
from target_planhat.streams import EVENT_STREAMS

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from target_planhat.actions import Action
    from target_planhat.ledger.known import Known
    from target_planhat.rules import Rule


class Naming:
    """The action texts of items. `whole` are the streams whose definitions all came in this run.

    An id that is not among all definitions stands for the name; else its items wait.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._templates: dict[str, Action] = {}
        self.whole: set[str] = set()
        self.awaited: dict[str, str] = {}
        self.nameless: Counter[str] = Counter()

    def actions(self, rule_id: int, rule: Rule, entities: Collection[str]) -> dict[str, str]:
        """Give the texts of entities (JSON arrays of the action's fields), where they are known."""
        template = self._template(rule)
        found = self._known.actions(rule_id, entities)
        news = {entity: msgspec.json.decode(entity) for entity in set(entities) - found.keys()}
        if template.named is None or template.definitions is None:
            return found | {entity: template.text(texts) for entity, texts in news.items()}
        ids = {texts[template.named] for texts in news.values()}
        names = self._known.named(template.definitions, ids)
        for entity, texts in news.items():
            id_ = texts[template.named]
            name = names.get(id_)
            if name is None and template.definitions in self.whole:
                name = id_
                self.nameless[template.definitions] += 1
            if name is not None:
                found[entity] = template.text(texts, name)
            else:
                self.awaited[rule.name] = template.definitions
        return found

    def keep(self, rule_id: int, used: Mapping[str, str]) -> dict[str, str]:
        """Keep the texts that are used: what is renamed in Pendo stays one activity in Planhat.

        Gives the texts to use: another run may have been the first with another one.
        """
        return self._known.keep_actions(rule_id, used)

    def reason(self, rule: Rule) -> str:
        """Say what items without a text wait for."""
        stream = self._template(rule).definitions
        return f"its name has not come yet: it is learnt from the stream `{stream}`"

    def _template(self, rule: Rule) -> Action:
        if rule.name not in self._templates:
            self._templates[rule.name] = action(rule.action, EVENT_STREAMS.get(rule.stream))
        return self._templates[rule.name]
