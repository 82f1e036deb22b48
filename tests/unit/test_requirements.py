"""Two locks: requirements.lock is what the image installs, requirements-dev.lock also has what develops and tests it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(line) for line in PROJECT["dependency-groups"]["dev"]]
AGAIN = "run `make lock`"


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / name).read_text(), re.M))


@pytest.mark.parametrize(
    ("lock", "asked"), [("requirements.lock", RUNTIME), ("requirements-dev.lock", RUNTIME + DEVELOPMENT)]
)
def test_what_is_asked_for_is_locked(lock: str, asked: list[Requirement]) -> None:
    versions = locked(lock)
    for requirement in asked:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), AGAIN


def test_what_only_develops_is_not_installed_to_run() -> None:
    assert not locked("requirements.lock").keys() & {canonicalize_name(r.name) for r in DEVELOPMENT}, AGAIN


def test_both_locks_agree() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items(), AGAIN
