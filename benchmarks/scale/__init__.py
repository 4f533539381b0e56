"""Arithmetic: what so many events and tenants take, from what one of each was measured to take."""
