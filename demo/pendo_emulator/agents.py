"""Knows the browser, its version and the operating system that a user agent names."""

import re

_BROWSERS = (
    ("Edge", re.compile(r"Edg/([\d.]+)")),
    ("Chrome", re.compile(r"Chrome/([\d.]+)")),
    ("Firefox", re.compile(r"Firefox/([\d.]+)")),
    ("Safari", re.compile(r"Version/([\d.]+).* Safari/")),
)
_SYSTEMS = (
    ("Windows", re.compile(r"Windows")),
    ("iOS", re.compile(r"iPhone|iPad|iOS")),
    ("Mac OS X", re.compile(r"Mac OS X")),
    ("Android", re.compile(r"Android")),
    ("Linux", re.compile(r"Linux")),
)
_OWN = re.compile(r"([^/\s]+)/([\d.]+)")


def parsed_agent(text: str) -> dict[str, str]:
    """Return the name and version of the browser (or else of the first product), and the os."""
    known = ((name, pattern.search(text)) for name, pattern in _BROWSERS)
    name, found = next(((name, found) for name, found in known if found), ("", None))
    if not found:
        found = _OWN.match(text)
        name = found[1] if found else "Unknown"
    version = found[found.re.groups] if found else ""
    system = next((system for system, pattern in _SYSTEMS if pattern.search(text)), "Unknown")
    return {"name": name, "version": version, "os": system}
