"""What objects hold, as it is written down for mypy, is what the models say."""

from __future__ import annotations

import runpy
from pathlib import Path

from kafila.placement import types

GENERATOR = Path(__file__).parents[3] / "hack/typed_dicts.py"


def test_the_types_are_those_of_the_models() -> None:
    written = runpy.run_path(str(GENERATOR))["written"]()
    assert Path(types.__file__).read_text() == written, "run `make openapi` and commit placement/types.py"
