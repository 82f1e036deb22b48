"""Accounts of the system that every Linux has."""

from __future__ import annotations

from typing import Final

NOBODY: Final = 65534
