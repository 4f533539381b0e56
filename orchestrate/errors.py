"""What can go wrong; each message is one line for the user."""


class ConnectionsError(Exception):
    """The file of connections is not right; no value of a secret is in the message."""


class PieceError(Exception):
    """A piece of work did not come to its end; it can be tried again."""
