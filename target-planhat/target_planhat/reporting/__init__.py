"""Output for people: the report of a run, its page, and the command `--ledger`."""
