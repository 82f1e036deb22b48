"""Why a merged document cannot be converted, in the words of apimachinery's converter."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.catalog.tables import schema_of
from kafila.machinery.converting import conversion_error

DEPLOYMENT = schema_of("io.k8s.api.apps.v1.Deployment")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"spec": {"replicas": "x"}}, "unrecognized type: int32"),
        ({"spec": {"replicas": 1.5}}, "cannot convert float64 to int32"),
        ({"spec": {"replicas": 2.0, "paused": True}}, ""),
        ({"spec": {"replicas": 2**40}}, ""),
        ({"spec": {"paused": "true"}}, "unrecognized type: bool"),
        ({"metadata": []}, "cannot restore struct from: slice"),
        ({"metadata": {"labels": ["a"]}}, "cannot restore map from slice"),
        ({"metadata": {"labels": {"a": 1}}}, "cannot convert int64 to string"),
        ({"metadata": {"name": True}}, "unrecognized type: string"),
        ({"spec": {"template": {"spec": {"containers": "x"}}}}, "cannot restore slice from string"),
        ({"spec": {"template": {"spec": {"containers": {"name": "c"}}}}}, "cannot restore slice from map"),
        ({"spec": {"strategy": {"type": 7}}}, "cannot convert int64 to v1.DeploymentStrategyType"),
        # in the order of the type, not of the document
        ({"spec": {"replicas": "x"}, "metadata": {"name": 1}}, "cannot convert int64 to string"),
        ({"metadata": None, "spec": {"replicas": 3}}, ""),
    ],
)
def test_what_does_not_fit_is_refused_in_gos_words(document: dict[str, Any], said: str) -> None:
    assert conversion_error(DEPLOYMENT, document) == said
