"""How a member's object is kept."""

from __future__ import annotations

import orjson
import pytest

from kafila.catalog.catalog import load_catalog
from kafila.search.bodies import kept_body, version_of, with_version

KIND = load_catalog().get("", "v1", "configmaps")
HARD = '"metadata":{"resourceVersion":"1"'


@pytest.mark.parametrize(
    "obj",
    [
        {"metadata": {"name": "a", "resourceVersion": "7"}},
        {
            "metadata": {"resourceVersion": "7", "managedFields": [{"manager": "x"}], "annotations": None},
            "data": {HARD: HARD},
        },
        {
            HARD: HARD,
            "kind": HARD,
            "apiVersion": HARD,
            "metadata": {"name": HARD, "resourceVersion": "7", "labels": {HARD: HARD}},
        },
    ],
)
def test_it_names_its_cluster_and_its_version_is_exchanged(obj: dict) -> None:
    assert KIND is not None
    body = kept_body(KIND, obj, "m1")
    assert version_of(body) == "7"
    found = orjson.loads(with_version(body, "eyJtMSI6IjcifQ"))
    assert found["metadata"]["resourceVersion"] == "eyJtMSI6IjcifQ"
    expected = orjson.loads(orjson.dumps(obj)) | {"kind": "ConfigMap", "apiVersion": "v1"}
    expected["metadata"] |= {
        "resourceVersion": "eyJtMSI6IjcifQ",
        "annotations": {"resource.karmada.io/cached-from-cluster": "m1"},
    }
    expected["metadata"].pop("managedFields", None)
    assert found == expected
