"""Runs a command beside a Pendo emulator and an embedded PostgreSQL."""
