"""Knows how a request is refused: a status and the body that goes with it."""


class Refused(Exception):  # noqa: N818 -- Pendo refuses; the emulator has no error
    """A refusal: `status` and a `body`, which is text, or JSON where it starts with a brace."""

    def __init__(self, status: int, body: str = "") -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def bad_pipeline(reason: str) -> Refused:
    """Return the 400 of a pipeline that Pendo cannot read."""
    return Refused(400, f"bad pipeline: {reason}")
