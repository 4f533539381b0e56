"""A stand-in for the Pendo emulator: the same contract, and figures that the test chooses."""
