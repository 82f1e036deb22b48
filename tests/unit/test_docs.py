"""Cells of tables hold phrases; what needs a paragraph stands below the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/compatibility.md", "docs/features.md", "docs/security.md")
LONGEST = 170  # characters without names of tests, other code, and where links lead


def cells(page: str) -> list[str]:
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [cell.strip() for line in lines for cell in re.sub(r"`[^`]*`|\]\([^)]*\)", "", line).split("|")]


@pytest.mark.parametrize("page", PAGES)
def test_cells_hold_no_paragraphs(page: str) -> None:
    found = cells((ROOT / page).read_text())
    assert found
    assert [cell for cell in found if len(cell) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_within_a_page_lead_to_a_heading(page: str) -> None:
    text = (ROOT / page).read_text()
    for target, anchor in re.findall(r"\]\(((?:[\w./-]+\.md)?)#([\w-]+)\)", text):
        other = ((ROOT / page).parent / target).read_text() if target else text
        headings = re.findall(r"^#+ (.+)$", other, re.M)
        assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, anchor
