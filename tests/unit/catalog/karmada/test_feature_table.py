"""docs/features.md leaves no field out and names tests that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafila.catalog.karmada.cluster import Cluster
from kafila.catalog.karmada.kinds import _ROWS
from kafila.catalog.karmada.model import Model
from kafila.catalog.karmada.search import ResourceRegistry
from kafila.catalog.karmada.shapes import Shape, members

ROOT = Path(__file__).parents[4]
MODELS: dict[str, type[Model]] = {row.kind + (f" {row.version}" if row.stored else ""): row.model for row in _ROWS} | {
    "Cluster": Cluster,
    "ResourceRegistry": ResourceRegistry,
}
UNDONE = ("*later part*", "*no effect*")


def table() -> dict[str, dict[str, str]]:
    """By kind: field -> what shows it."""
    found: dict[str, dict[str, str]] = {}
    kinds: list[str] = []
    for line in (ROOT / "docs" / "features.md").read_text().splitlines():
        if line.startswith("## "):
            kinds = line.removeprefix("## ").split(", ")
            for kind in kinds:
                assert kind not in found, f"{kind} has two tables"
                found[kind] = {}
        elif row := re.fullmatch(r"\| `(\S+)` \| (.+) \|", line):
            for kind in kinds:
                assert row[1] not in found[kind], f"{kind} {row[1]} has two rows"
                found[kind][row[1]] = row[2]
    return found


TABLE = table()


def fields(model: type[Model], above: str = "") -> Iterator[str]:
    """Paths of what has no fields of its own."""
    for member in members(model):
        inside = _struct(member.shape)
        if inside is None or inside is model:
            yield above + member.name
        else:
            yield from fields(inside, f"{above}{member.name}.")


def _struct(shape: Shape) -> type[Model] | None:
    return shape.model or (_struct(shape.items) if shape.items is not None else None)


def test_every_kind_has_a_table() -> None:
    assert TABLE.keys() == MODELS.keys()


@pytest.mark.parametrize("kind", MODELS)
def test_every_field_has_a_row_and_every_row_a_field(kind: str) -> None:
    paths = [path for path in fields(MODELS[kind]) if path.split(".")[0] in ("spec", "status", "webhooks")]
    rows = TABLE[kind]
    missing = [path for path in paths if not any(path == row or path.startswith(f"{row}.") for row in rows)]
    assert not missing, f"docs/features.md has no row for them: {missing}"
    if kind in ("ServiceExport", "Remedy"):  # stand with others in one table
        rows = {row: text for row, text in rows.items() if any(path.startswith(row) for path in paths)}
    idle = [row for row in rows if not any(path == row or path.startswith(f"{row}.") for path in paths)]
    assert not idle, f"there is nothing like that: {idle}"


def test_what_is_named_exists() -> None:
    for kind, rows in TABLE.items():
        for field, text in rows.items():
            named = re.findall(r"`((?:unit|integration|clusters|clients|differential)/[^`]+)`", text)
            assert named or text.startswith(UNDONE), f"{kind} {field} names no test"
            for name in named:
                file, _, function = name.partition("::")
                source = (ROOT / "tests" / file).read_text()
                assert not function or f"def {function}(" in source, f"{kind} {field}: there is no {name}"
