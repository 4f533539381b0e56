"""The few kinds of stream; each reads rows of the catalogue."""
