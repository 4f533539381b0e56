"""Programs for who works on the plugins."""
