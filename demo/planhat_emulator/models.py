"""Knows Planhat's models as far as they are emulated: one row each."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model: the name in metrics, what a new one needs, and its keys by priority.

    `scoped`: it belongs to a company, and its externalId is unique within that company only.
    """

    path: str
    name: str
    required: tuple[str, ...]
    keys: tuple[str, ...]
    scoped: bool = True


_KEYS = ("_id", "sourceId", "externalId")
MODELS = {
    model.path: model
    for model in (
        Model(path="companies", name="Company", required=("name",), keys=_KEYS, scoped=False),
        Model(path="endusers", name="EndUser", required=(), keys=(*_KEYS, "email")),
        Model(path="assets", name="Asset", required=("name",), keys=_KEYS),
        Model(path="projects", name="Project", required=("name",), keys=_KEYS),
        Model(
            path="users",
            name="User",
            required=("email", "nickName", "firstName", "lastName"),
            keys=("_id", "externalId", "email"),
            scoped=False,
        ),
    )
}
MEASURED = {model.name: model.path for model in MODELS.values() if model.path != "users"}
