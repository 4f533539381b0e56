"""Integration keys, and how a request is refused."""

from dataclasses import dataclass


class Refused(Exception):  # noqa: N818 -- Pendo refuses; the emulator has no error
    """A refusal: `status` and a `body`, which is text, or JSON where it starts with a brace."""

    def __init__(self, status: int, body: str = "") -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def bad_pipeline(reason: str) -> Refused:
    """Return the 400 of a pipeline that Pendo cannot read."""
    return Refused(400, f"bad pipeline: {reason}")


REGIONS = ("us", "us1", "eu", "jpn", "au")


@dataclass
class Key:
    """One row of the table of keys; emulators of several regions may share the table."""

    key: str
    region: str
    write_access: bool = False
    valid: bool = True


class Keys:
    """The table of keys."""

    def __init__(self, *keys: Key) -> None:
        self._keys = {one.key: one for one in keys}

    def add(self, key: Key) -> None:
        """Add a key, or replace the one of that name."""
        self._keys[key.key] = key

    def __getitem__(self, key: str) -> Key:
        return self._keys[key]

    def check(self, key: str | None, region: str) -> Key:
        """Return the key that a request carries.

        Raises:
            Refused: 403 without a body if missing, unknown or invalid; 400 in another region.
        """
        found = self._keys.get(key or "")
        if found is None or not found.valid:
            raise Refused(403)
        if found.region != region:
            raise Refused(400, f"integration key does not belong to region {region}")
        return found
