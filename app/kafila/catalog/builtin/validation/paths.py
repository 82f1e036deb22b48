"""Paths inside volumes: they must not lead out of them."""

from __future__ import annotations

from .common import Found, invalid

MODE_TEXT = "must be a number between 0 and 0777 (octal), both inclusive"


def has_backstep(path: str) -> bool:
    return ".." in path and ".." in path.split("/")


def check_no_backstep(value: str, path: str, found: Found) -> None:
    if has_backstep(value):
        found.append(invalid(path, value, "must not contain '..'"))


def check_local_path(value: str, path: str, found: Found) -> None:
    if value.startswith("/"):
        found.append(invalid(path, value, "must be a relative path"))
    check_no_backstep(value, path, found)


def check_local_free_path(value: str, path: str, found: Found) -> None:
    """Names that start with two dots are the kubelet's own."""
    check_local_path(value, path, found)
    if value.startswith("..") and not value.startswith("../"):
        found.append(invalid(path, value, "must not start with '..'"))


def check_mode(mode: int | None, path: str, found: Found) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        found.append(invalid(path, mode, MODE_TEXT))
