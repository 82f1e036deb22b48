"""tests/unit mirrors the package: what is tested is found in the folder of the same name; no module is long."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

UNIT = Path(__file__).parent
PACKAGE = UNIT.parents[1] / "app" / "kafila"
LONGEST = 400  # lines
TESTS = sorted(path.relative_to(UNIT) for path in UNIT.rglob("test_*.py") if path.parent != UNIT)


@pytest.mark.parametrize("test", TESTS, ids=str)
def test_a_test_stands_in_the_folder_of_what_it_tests(test: Path) -> None:
    package = ".".join(("kafila", *test.parent.parts))
    assert (PACKAGE / test.parent).is_dir()
    assert re.search(rf"\b{re.escape(package)}\b", (UNIT / test).read_text())


def test_no_module_is_long() -> None:
    """But for what is generated."""
    sizes = {path.relative_to(PACKAGE).as_posix(): path.read_text().count("\n") for path in PACKAGE.rglob("*.py")}
    assert {path for path, lines in sizes.items() if lines > LONGEST} == {"placement/types.py"}
