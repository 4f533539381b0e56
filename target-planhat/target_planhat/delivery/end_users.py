"""Creates end users that Planhat lacks, if their company exists, and nobody else."""

from __future__ import annotations

import typing as t

from target_planhat.delivery.matcher import Unmatched
from target_planhat.rule_model import EMAIL, NAME

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_planhat.delivery.matcher import Matcher
    from target_planhat.ledger.outbox import Item
    from target_planhat.ledger.planhat_objects import Directory
    from target_planhat.ledger.reference_data import Known
    from target_planhat.planhat.endpoints import PlanhatClient
    from target_planhat.rule_model import Rule


class Creator:
    """Creates end users in bulk; a dry run only counts them.

    Absent by externalId and by e-mail address means: in a copy of Planhat that this run has read.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        client: PlanhatClient,
        matcher: Matcher,
        directory: Directory,
        known: Known,
        now: Callable[[], int],
        *,
        dry_run: bool,
    ) -> None:
        self._client, self._matcher = client, matcher
        self._directory, self._known = directory, known
        self._now, self._dry_run = now, dry_run
        self._refused: dict[str, str] = {}
        self.created = 0

    def create(self, rule: Rule, missing: Sequence[tuple[Item, Unmatched]]) -> dict[int, Unmatched]:
        """Create the end users of items, if possible; return why the others were not, by item.

        Of these, only those that Planhat refused are `absent`: nothing else keeps them from being
        created. Match the items again afterwards.
        """
        bodies, left = self._bodies(rule, missing)
        fresh = {key: body for key, body in bodies.items() if key not in self._refused}
        self._upsert(list(fresh.values()), list(fresh))
        for item, unmatched in missing:
            refused = self._refused.get(_who(rule, unmatched))
            if refused:
                left[item.id] = unmatched._replace(reason=refused)
        return left

    def hindered(
        self, rule: Rule, missing: Sequence[tuple[Item, Unmatched]]
    ) -> dict[int, Unmatched]:
        """Return why end users cannot be created, by item; this creates nobody."""
        return self._bodies(rule, missing)[1]

    def _bodies(
        self, rule: Rule, missing: Sequence[tuple[Item, Unmatched]]
    ) -> tuple[dict[str, dict[str, str]], dict[int, Unmatched]]:
        """Make the bodies of those that can be created; return why the others cannot, by item."""
        self._matcher.refresh("companies", 0)
        self._matcher.refresh("endusers", 0)
        subjects = {item.subject for item, _ in missing}
        emails = self._known.described("visitor", EMAIL, subjects)
        names = self._known.described("visitor", NAME, subjects)
        companies = self._directory.find(
            "companies", "external_id", {item.company for item, _ in missing} - {""}
        )
        taken = self._directory.find("endusers", "email", set(emails.values()))
        keys = {item.id: _external_id(rule, item, unmatched) for item, unmatched in missing}
        known = self._directory.find("endusers", "external_id", set(keys.values()) - {""})
        bodies: dict[str, dict[str, str]] = {}
        left: dict[int, Unmatched] = {}
        owners: dict[str, str] = {}
        for item, unmatched in missing:
            email = unmatched.value if rule.match.by == "email" else emails.get(item.subject, "")
            key = keys[item.id]
            reason = _hindrance(item, email, companies, taken, key, known)
            if not reason and email:
                owner = owners.setdefault(email.casefold(), _who(rule, unmatched))
                if owner != _who(rule, unmatched):
                    reason = "but another visitor has its e-mail address"
            if reason:
                left[item.id] = Unmatched(f"{unmatched.reason}, {reason}", unmatched.value)
                continue
            given = {
                "externalId": key,
                rule.match.by: unmatched.value,
                "email": email,
                "name": names.get(item.subject, ""),
                "companyId": f"extid-{item.company}",
            }
            body = {name: text for name, text in given.items() if text}
            bodies.setdefault(_who(rule, unmatched), body)
        return bodies, left

    def _upsert(self, bodies: list[dict[str, str]], values: list[str]) -> None:
        if not bodies:
            return
        if self._dry_run:
            made = [{**body, "_id": f"new {v}"} for body, v in zip(bodies, values, strict=True)]
            self._note(made)
            return
        outcomes = self._client.upsert_end_users(bodies)
        made = []
        for body, key, outcome in zip(bodies, values, outcomes, strict=True):
            if outcome.fate == "accepted":
                made.append({**body, "_id": outcome.id or f"new {key}"})
            else:
                self._refused[key] = f"the end user could not be created: {outcome.reason}"
        self._note(made)

    def _note(self, made: list[dict[str, str]]) -> None:
        """Add new end users to the copy."""
        external = {body["companyId"].removeprefix("extid-") for body in made}
        companies = self._directory.find("companies", "external_id", external)
        self._directory.add(
            "endusers",
            (
                {**body, "companyId": companies[body["companyId"].removeprefix("extid-")][0].id}
                for body in made
            ),
            self._now(),
        )
        self.created += len(made)


def _hindrance(  # noqa: PLR0913, PLR0917 - what is looked at
    item: Item,
    email: str,
    companies: Mapping[str, t.Any],
    taken: Mapping[str, t.Any],
    external_id: str,
    known_ids: Mapping[str, t.Any],
) -> str | None:
    """Return why an end user is not created; None if it can be."""
    if not item.company:
        return "and the record names no company to create it in"
    if item.company not in companies:
        return "nor a company with the record's account id to create it in"
    if email and email.casefold() in taken:
        return "but its e-mail address is another end user's"
    if external_id in known_ids:
        return "but its visitor id is another end user's externalId"
    return None


def _who(rule: Rule, unmatched: Unmatched) -> str:
    """Return a key that is the same for all items of one new end user."""
    return unmatched.value.casefold() if rule.match.by == "email" else unmatched.value


def _external_id(rule: Rule, item: Item, unmatched: Unmatched) -> str:
    """Return the externalId of a new end user: what is matched by, or the visitor's id."""
    if rule.match.by == "externalId":
        return unmatched.value
    of_visitor = rule.match.of == "visitor" or rule.match.path == ("visitor_id",)
    return item.subject if of_visitor else ""
