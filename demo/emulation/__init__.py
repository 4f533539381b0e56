"""What the emulators share: a clock, counted calls, ordered faults, and a server in a thread."""
