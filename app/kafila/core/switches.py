"""Lists in flags, and those such as ``*,-x`` that say what runs: kube-controller-manager's grammar."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """The entries of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def is_enabled(name: str, text: str) -> bool:
    """``*`` all, ``x`` x, ``-x`` all but x."""
    entries = listed(text)
    return f"-{name}" not in entries and (name in entries or "*" in entries)
