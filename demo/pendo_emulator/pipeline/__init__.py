"""Aggregation pipelines: how a request is checked and run."""
