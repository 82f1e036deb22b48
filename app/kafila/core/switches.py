"""Lists in flags, and those such as ``*,-x`` that say what runs: kube-controller-manager's grammar."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """The entries of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def is_enabled(name: str, text: str, is_off_by_default: bool = False) -> bool:
    """``*`` all, ``x`` x, ``-x`` all but x. What is off by default is only on where it is named."""
    entries = listed(text)
    return f"-{name}" not in entries and (name in entries or ("*" in entries and not is_off_by_default))
