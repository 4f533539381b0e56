"""The fields of every Pendo object, by family: pure data."""
