"""Taps and targets that ours are compared with; each is a small program of its own."""
