"""The only memory: totals by hour, the outbox, and copies of what others know."""
