"""The real loaders that tap-pendo is tried with."""
