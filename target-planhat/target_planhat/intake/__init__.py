"""Input: messages, the handlers of streams, and the hour or day of each record."""
