"""docs/security.md names a test for each promise: the file and the function are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/security.md").read_text())


@pytest.mark.parametrize(("file", "function"), sorted(set(NAMED)))
def test_its_test_exists(file: str, function: str) -> None:
    text = (ROOT / file).read_text()
    assert not function or re.search(rf"def {function}\b", text)


def test_there_are_promises() -> None:
    assert NAMED
