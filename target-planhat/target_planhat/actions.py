"""What an activity is called: a template of the rule, filled with ids, names and dimensions."""

from __future__ import annotations

import dataclasses
import string
import typing as t

from target_planhat.streams import NAMES

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from target_planhat.streams import EventStream


class TemplateError(ValueError):
    """What is wrong with a template."""


@dataclasses.dataclass(frozen=True)
class Action:
    """A valid template.

    `fields` are the fields of the row that tell its actions apart, in the order of an item's
    entity; `definitions` is the stream that the entity's name is learnt from, None if the template
    does not name it. `named` is the place of its id in `fields`.
    """

    template: str
    fields: tuple[str, ...]
    placeholder: str | None = None
    definitions: str | None = None
    named: int | None = None

    def text(self, texts: Sequence[str], name: str | None = None) -> str:
        """Fill the template with the texts of `fields`, and the entity's name if it is wanted."""
        values = dict(zip(self.fields, texts, strict=True))
        if self.placeholder is not None:
            values[self.placeholder] = name or ""
        return self.template.format_map(values)


def action(template: str, stream: EventStream | None) -> Action:
    """Read a template, which names `{fields}` in the manner of str.format; `{{` is a brace.

    Without a stream it is an aggregation's, whose fields are its own; it can be called by the name
    of a feature, page, … if its rows have the id.

    Raises:
        TemplateError: it names what the stream lacks, or is none.
    """
    named = _placeholders(template)
    if stream is None:
        if not all(map(str.isidentifier, named)):
            raise TemplateError("has a placeholder that is no name of a field")
    elif unknown := [name for name in named if name not in stream.placeholders]:
        known = ", ".join(f"{{{name}}}" for name in stream.placeholders)
        shown = "".join(f" {{{name}}}" for name in unknown if name.isidentifier())
        raise TemplateError(f"holds an unknown placeholder{shown}: known are {known}")
    learnt = [name for name in dict.fromkeys(named) if name in NAMES]
    if len(learnt) > 1:
        raise TemplateError("names several entities; allowed is one of them")
    if not learnt:
        return Action(template, tuple(dict.fromkeys(named)))
    entity, definitions = NAMES[learnt[0]]
    fields = tuple(dict.fromkeys(entity if name in learnt else name for name in named))
    return Action(template, fields, learnt[0], definitions, fields.index(entity))


def _placeholders(template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise TemplateError("has a single brace; allowed are {placeholder}, {{ and }}") from None
    found = []
    for _, name, form, conversion in parts:
        if name is not None:
            if form or conversion:
                raise TemplateError("gives a format; allowed is {placeholder} alone")
            found.append(name)
    return found
