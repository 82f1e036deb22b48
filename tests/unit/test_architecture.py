"""ARCHITECTURE.md leads to files and names that there are, and docs/adr/README.md to every decision."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from kafila.settings.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "app" / "kafila"
PAGE = (ROOT / "ARCHITECTURE.md").read_text()
TEN_PLACES = (ROOT / "docs" / "adr" / "0010-finding-ten-places.md").read_text()
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
PATH = re.compile(r"[\w.*-]+(/[\w.*-]*)+|[\w-]+\.(py|md)|\.\w+")
NAME = re.compile(r"[A-Za-z_]\w+")
OTHERS = ("prometheus_client", "group/version/Kind")  # of a row, and no place of ours


def files(path: str) -> list[Path]:
    return [*PACKAGE.glob(path.rstrip("/")), *ROOT.glob(path.rstrip("/"))]


@cache
def defined(file: Path) -> frozenset[str]:
    """Names of a module and of the classes in it."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return frozenset(found)


def missing(row: str) -> list[str]:
    """What a row names and nobody finds."""
    spans = [span for span in re.findall(r"`([^`]+)`", row) if span not in OTHERS]
    paths = [span for span in spans if PATH.fullmatch(span)]
    names = frozenset().union(*(defined(file) for path in paths for file in files(path) if file.suffix == ".py"))
    lost = [path for path in paths if not files(path)]
    for span in spans:
        if span in paths:
            continue
        if span.startswith("make "):
            known = span.removeprefix("make ") in TARGETS
        elif span.startswith("--"):
            known = span.removeprefix("--").replace("-", "_") in Settings.model_fields
        else:
            known = NAME.fullmatch(span) is not None and span in names
        if not known:
            lost.append(span)
    return lost


def section(title: str, page: str = PAGE) -> list[str]:
    text = re.split(rf"\n##+ {title}", page, maxsplit=1)[1].split("\n## ", 1)[0]
    return [line for line in text.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("row", section("Where to add what"))
def test_a_row_leads_to_files_and_names_that_there_are(row: str) -> None:
    assert not missing(row)


@pytest.mark.parametrize("row", section("Where the ten are now", TEN_PLACES))
def test_the_ten_places_of_the_decision_are_where_it_says(row: str) -> None:
    assert not missing(row)


def test_a_row_that_leads_nowhere_is_found() -> None:
    row = "| x | `api/gone.py`, `api/app.py` (`Gone`, `make nothing`, `--no-flag`), `reconcile/*/none.py` |"
    assert missing(row) == ["api/gone.py", "reconcile/*/none.py", "Gone", "make nothing", "--no-flag"]


def test_every_package_has_a_row() -> None:
    rows = {name for row in section("Packages") for name in re.findall(r"`(\w+)`", row.split("|")[2])}
    assert rows == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("0*.md"))
