"""What a patch does follows from its type, and from nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.api.objects import PATCH_TYPES
from kafila.registry.patching import Patch, merged


@pytest.mark.parametrize(
    ("patch_type", "document"),
    [("json", [{"op": "add", "path": "/a", "value": 1}]), ("merge", {"a": 1}), ("strategic", {"a": 1})],
)
def test_each_type_is_merged_in_its_own_way(patch_type: Any, document: Any) -> None:
    assert merged({"b": 2}, Patch(patch_type, document), None) == {"a": 1, "b": 2}


@pytest.mark.parametrize("patch_type", ["apply", "newer"])
def test_what_it_does_not_know_is_no_merge_patch(patch_type: Any) -> None:
    with pytest.raises(AssertionError, match=patch_type):
        merged({"b": 2}, Patch(patch_type, {"a": 1}), None)


def test_each_type_that_is_merged_has_a_case() -> None:
    assert {"json", "merge", "strategic", "apply"} == set(PATCH_TYPES.values())
