"""Knows a whole tenant: its objects, what has been stored about them, and what has not."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING

from emulation.clock import Clock

from planhat_emulator.activities import Activities, Activity
from planhat_emulator.dates import DAY
from planhat_emulator.knobs import Knobs
from planhat_emulator.metrics import Metrics, Point
from planhat_emulator.store import Store, Thing
from planhat_emulator.upserts import Upserts

if TYPE_CHECKING:
    from planhat_emulator.refusals import Failure

_EPOCH = date(1970, 1, 1)
Seeds = int | Iterable[Thing]


class World:
    """One tenant. It begins empty; `seed` fills it.

    `nonce` is the beginning of every _id: 18 hexadecimal digits, made up if not given.
    """

    def __init__(self, *, clock: Clock | None = None, nonce: str | None = None) -> None:
        self.clock = clock or Clock()
        self.store = Store(self.clock, nonce)
        self.failed: list[Failure] = []
        self._activities = Activities(self.store, self.failed)
        self._metrics = Metrics(self.store, self.failed)
        self.take_activities = self._activities.take
        self.take_metrics = self._metrics.take
        self.upserts = Upserts(self.store)

    @property
    def knobs(self) -> Knobs:
        """The knobs; they may be set one by one."""
        return self.store.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self.store.knobs = knobs

    @property
    def custom_fields(self) -> dict[str, set[str]]:
        """The names of the custom fields of each model's path; they matter by a knob."""
        return self.store.custom_fields

    def seed(
        self,
        *,
        companies: Seeds = (),
        endusers: Seeds = (),
        assets: Seeds = (),
        projects: Seeds = (),
        users: Seeds = (),
    ) -> None:
        """Add objects as they are given, unchecked, or as many as asked for.

        `companyId` may be extid-…. A number makes objects with the externalIds company-1,
        enduser-1, asset-1 … of the companies there are, in turn; enduser-1 has the e-mail
        enduser-1@company-1.example, the domain of its company.
        """
        given = {"companies": companies, "users": users, "endusers": endusers, "assets": assets}
        for path, seeds in {**given, "projects": projects}.items():
            made = self._made_up(path, seeds) if isinstance(seeds, int) else seeds
            for fields in made:
                self.add(path, fields)

    def add(self, path: str, fields: Thing) -> Thing:
        """Add one object, unchecked; `companyId` may be extid-… of a company that exists.

        Raises:
            KeyError: for an unknown model.
            ValueError: for a company that does not exist.
        """
        reference = fields.get("companyId")
        if reference is not None:
            company = self.store.named("companies", reference)
            if company is None:
                raise ValueError("companyId names no company")
            fields = {**fields, "companyId": company["_id"]}
        return self.store.add(path, fields)

    def _made_up(self, path: str, count: int) -> Iterable[Thing]:
        companies = list(self.store.tables["companies"].things.values())
        kind = "company" if path == "companies" else path.removesuffix("s")
        for number in range(1, count + 1):
            key = f"{kind}-{number}"
            fields: Thing = {"externalId": key, "name": key}
            if path == "companies":
                fields["domains"] = [f"{key}.example"]
            elif path == "users":
                fields["email"] = f"{key}@planhat.example"
                fields.update(nickName=key, firstName=kind, lastName=str(number))
            elif companies:
                company = companies[(number - 1) % len(companies)]
                fields["companyId"] = company["_id"]
                if path == "endusers":
                    fields["email"] = f"{key}@{company.get('externalId', 'none')}.example"
            yield fields

    # What is there

    def objects(self, path: str) -> list[Thing]:
        """Return all objects of companies, endusers, assets, projects or users."""
        return list(self.store.tables[path].things.values())

    @property
    def created(self) -> list[Thing]:
        """The end users that activities have created."""
        return list(self._activities.created)

    def activities(
        self, external_id: str | None = None, action: str | None = None
    ) -> list[Activity]:
        """Return the stored activities in the order of their arrival, of an end user, an action."""
        return [
            one
            for one in list(self._activities.stored)
            if (external_id is None or one.end_user.get("externalId") == external_id)
            and (action is None or one.action == action)
        ]

    def points(
        self,
        dimension_id: str | None = None,
        model: str | None = None,
        external_id: str | None = None,
        company_id: str | None = None,
    ) -> list[Point]:
        """Return the stored points in the order of their arrival; `company_id` is an _id."""
        kept = self._metrics.stored
        return [
            one
            for one in list(kept if company_id is None else self._metrics.of_company[company_id])
            if (dimension_id is None or one.dimension_id == dimension_id)
            and (model is None or one.model == model)
            and (external_id is None or one.of.get("externalId") == external_id)
        ]

    def activity_sums(self) -> dict[tuple[str, str | None, str], float]:
        """Return {(externalId, or else the email, action, UTC day as YYYY-MM-DD): sum of count}."""
        sums: dict[tuple[str, str | None, int], float] = defaultdict(int)
        for one in list(self._activities.stored):
            user = one.end_user
            who = user.get("externalId") or user.get("email") or user["_id"]
            sums[who, one.action, one.date // DAY] += one.count
        return {(who, action, day(number)): count for (who, action, number), count in sums.items()}

    def point_sums(self) -> dict[tuple[str, str, str, str], float]:
        """Return {(dimensionId, model, externalId, UTC day): sum of value}, as SUM readers see."""
        sums: dict[tuple[str, str, str, str], float] = defaultdict(int)
        for one in list(self._metrics.stored):
            sums[_place(one)] += one.value
        return dict(sums)

    def point_lasts(self) -> dict[tuple[str, str, str, str], float]:
        """Return {(dimensionId, model, externalId, UTC day): last value}, as LAST readers see."""
        return {_place(one): one.value for one in list(self._metrics.stored)}

    def count(self, kind: str) -> int:
        """Return how many there are of a model's path, activities, points, failed or created.

        Raises:
            ValueError: for another kind.
        """
        others = {
            "activities": self._activities.stored,
            "points": self._metrics.stored,
            "failed": self.failed,
            "created": self._activities.created,
        }
        if kind in others:
            return len(others[kind])  # type: ignore[arg-type] # each is a list
        if kind not in self.store.tables:
            raise ValueError(f"unknown kind; known: {', '.join([*self.store.tables, *others])}")
        return len(self.store.tables[kind].things)


def day(number: int) -> str:
    """Return a day since 1970 as YYYY-MM-DD."""
    return (_EPOCH + timedelta(days=number)).isoformat()


def _place(point: Point) -> tuple[str, str, str, str]:
    return point.dimension_id, point.model, point.of.get("externalId", ""), day(point.day)
