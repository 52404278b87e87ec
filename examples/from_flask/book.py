"""What people wrote, and who is told of it. Knows no web."""

from __future__ import annotations

from collections.abc import Callable

PEOPLE = {"ada", "bob"}
ENTRIES: list[dict[str, str]] = []
LISTENERS: list[Callable[[dict[str, str]], None]] = []


def write(name: str, text: str) -> None:
    """Add an entry, and tell everybody who listens; from any thread."""
    entry = {"name": name, "text": text}
    ENTRIES.append(entry)
    for listen in LISTENERS:
        listen(entry)
