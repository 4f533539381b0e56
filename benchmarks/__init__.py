"""Measures both plugins against peers, on rows that cost next to nothing to serve."""
