"""Planhat: its hosts, endpoints and bodies, and what an answer means for each item."""
