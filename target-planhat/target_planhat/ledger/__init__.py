"""The ledger: all that target-planhat remembers from one run to the next."""
