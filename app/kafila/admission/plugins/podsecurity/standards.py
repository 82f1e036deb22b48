"""What a namespace's labels ask for: a level and a version for each of enforce, audit and warn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from kafila.core.errors import FieldError

PRIVILEGED: Final = "privileged"
BASELINE: Final = "baseline"
RESTRICTED: Final = "restricted"
LEVELS: Final = (PRIVILEGED, BASELINE, RESTRICTED)  # from the loosest
LATEST: Final = 1 << 30  # a minor version that is newer than all others
PREFIX: Final = "pod-security.kubernetes.io/"
_VERSION: Final = re.compile(r"v1\.(0|[1-9][0-9]{0,17})", re.ASCII)


class Standard(NamedTuple):
    """``version`` is a minor version of Kubernetes, or LATEST."""

    level: str = PRIVILEGED
    version: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.version == LATEST else f'v1.{self.version}'}"


class Policy(NamedTuple):
    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()


DEFAULT: Final = Policy()


def policy_of(labels: Mapping[str, str], defaults: Policy = DEFAULT) -> tuple[Policy, list[FieldError]]:
    """What labels that are wrong ask for is restricted where it is enforced, and nothing where it is told."""
    found: list[FieldError] = []
    given: dict[str, Standard] = {}
    for mode, default in zip(Policy._fields, defaults, strict=True):
        level, version = labels.get(PREFIX + mode), labels.get(f"{PREFIX}{mode}-version")
        given[mode] = Standard(_level(mode, level, default, found), _version(mode, version, default, found))
    enforced = labels.get(f"{PREFIX}enforce")
    explicit = enforced in LEVELS and f"{PREFIX}warn" not in labels
    if explicit and LEVELS.index(given["enforce"].level) > LEVELS.index(given["warn"].level):
        source = given["warn" if f"{PREFIX}warn-version" in labels else "enforce"]
        given["warn"] = Standard(given["enforce"].level, source.version)
    return Policy(**given), found


def _level(mode: str, value: str | None, default: Standard, found: list[FieldError]) -> str:
    if value is None:
        return default.level
    if value in LEVELS:
        return value
    found.append(_wrong(PREFIX + mode, value, f"must be one of {', '.join(LEVELS)}"))
    return RESTRICTED if mode == "enforce" else PRIVILEGED


def _version(mode: str, value: str | None, default: Standard, found: list[FieldError]) -> int:
    if value is None:
        return default.version
    match = _VERSION.fullmatch(value)
    if match is None and value != "latest":
        found.append(_wrong(f"{PREFIX}{mode}-version", value, 'must be "latest" or "v1.x"'))
    return int(match[1]) if match is not None else LATEST


def _wrong(label: str, value: str, text: str) -> FieldError:
    return FieldError.invalid(f"metadata.labels[{label}]", value, text)
