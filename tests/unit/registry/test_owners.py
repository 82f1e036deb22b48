from __future__ import annotations

from typing import Any

from kafila.registry.context import Options
from kafila.registry.owners import drop_repeated_owners

ONE = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1"}
TWO = {**ONE, "uid": "2"}


def test_an_owner_that_is_given_twice_is_kept_once_and_the_client_is_warned() -> None:
    metadata: dict[str, Any] = {"ownerReferences": [ONE, TWO, dict(ONE), {**TWO, "controller": True}]}
    options = Options(warnings=[])
    drop_repeated_owners(metadata, options)
    assert metadata["ownerReferences"] == [ONE, TWO, {**TWO, "controller": True}]
    (warning,) = options.warnings or ()
    assert warning.endswith("duplicate UID(s) observed: 1")
