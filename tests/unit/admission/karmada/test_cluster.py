"""Credentials that a Cluster names are asked for as whoever names them, or whoever has them sent elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.admission.karmada.cluster import admit_cluster
from kafila.admission.karmada.context import NOTHING, AdmissionContext
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.registry import User

ANN = User("ann")


def cluster(**spec: Any) -> Object:
    return {"metadata": {"name": "m1"}, "spec": spec}


@pytest.mark.parametrize("field", ["secretRef", "impersonatorSecretRef"])
def test_the_right_to_read_it_is_asked_for_when_it_changes(field: str) -> None:
    asked: list[tuple[str, ...]] = []

    def nobody(user: Any, *what: str) -> bool:
        asked.append((user.name, *what))
        return False

    around = AdmissionContext(may=nobody)
    named = cluster(**{field: {"namespace": "a", "name": "b"}})
    with pytest.raises(StatusError) as raised:
        admit_cluster(named, None, ANN, around)
    assert (raised.value.code, asked) == (403, [("ann", "get", "", "secrets", "a", "b")])
    told = f'spec.{field}: User "ann" cannot get resource "secrets" b in the namespace "a"'
    assert told in raised.value.message
    with pytest.raises(StatusError):
        admit_cluster(named, cluster(), ANN, around)
    admit_cluster(named, named, ANN, around)
    admit_cluster(cluster(), named, ANN, around)
    assert len(asked) == 2
    for way in ({"apiEndpoint": "https://b"}, {"proxyURL": "https://b"}, {"insecureSkipTLSVerification": True}):
        with pytest.raises(StatusError):
            admit_cluster(cluster(**named["spec"], **way), named, ANN, around)
    admit_cluster(cluster(**named["spec"], region="b"), named, ANN, around)
    assert len(asked) == 5


def test_everybody_may_where_nobody_decides_about_rights() -> None:
    admit_cluster(cluster(secretRef={"namespace": "a", "name": "b"}, id="x"), None, ANN, NOTHING)
