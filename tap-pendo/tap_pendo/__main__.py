"""`python -m tap_pendo`."""

from tap_pendo.tap import TapPendo

TapPendo.cli()
