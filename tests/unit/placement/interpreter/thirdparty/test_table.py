"""The table of docs/interpreters.md says which kind answers what."""

from __future__ import annotations

from pathlib import Path

from kafila.placement.interpreter import NATIVE, Operation
from kafila.placement.interpreter.native import _kind
from kafila.placement.interpreter.thirdparty.table import THIRD_PARTY

PAGE = (Path(__file__).parents[5] / "docs" / "interpreters.md").read_text()


def test_the_page_has_the_table_that_counts() -> None:
    lines = PAGE.split("\n## Kinds of others", 1)[1].split("\n| kind | Interpret", 1)[1].splitlines()
    header = ["kind", *(cell.strip() for cell in f"Interpret{lines[0]}".strip("| ").split("|"))]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:] if line.startswith("| ")]
    written = {}
    for kind, *cells in rows[: len(THIRD_PARTY)]:
        name, _, version = kind.partition(" ")
        written[f"{version.strip('()`')}/{name}"] = {
            Operation(operation) for operation, cell in zip(header[1:], cells, strict=True) if cell == "x"
        }
    known = {
        kind: {operation for operation in Operation if NATIVE.hook_enabled(_kind(kind), operation)}
        for kind in THIRD_PARTY
    }
    assert written == known
