"""Runs a command beside an emulated Pendo, an emulated Planhat and an embedded PostgreSQL."""
