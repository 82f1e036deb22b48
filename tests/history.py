"""Earlier versions of this program, out of the history of its repository: what was released, unmodified."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import open_folder

ROOT = Path(__file__).resolve().parents[1]


def git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def added(path: str) -> str:
    """The commit that a file came with. Skips the test in a checkout without history."""
    found = git("log", "--diff-filter=A", "--format=%H", "-1", "--", path)
    if not found or not git("rev-parse", "--verify", "--quiet", f"{found}^"):
        pytest.skip("a checkout without history has no earlier version")
    return found


def newest_migration() -> str:
    """The commit that the database's schema of this version came with."""
    newest = sorted((ROOT / "migrations" / "versions").glob("0*.py"))[-1]
    return added(str(newest.relative_to(ROOT)))


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    with open_folder() as folder:
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        yield folder
