"""The APIServices that kube-apiserver and kafila make of what they serve themselves, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from clusters.harness import wait_until

from differential.normalise import comparable
from differential.servers import Server, kafila, reference
from differential.steps import TABLE

Object = dict[str, Any]
PATH: Final = "/apis/apiregistration.k8s.io/v1/apiservices"
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
JSON: Final = {"Content-Type": "application/json"}
OURS: Final = (".karmada.io", ".kafila.io")
CUSTOM: Final = "v1.registered.example.com"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with reference() as theirs, kafila() as ours:
        yield theirs, ours


def listed(server: Server) -> dict[str, Object]:
    answer = server.send("GET", PATH, {}, None)
    assert answer.status == 200, answer.body
    items = json.loads(answer.body)["items"]
    return {obj["metadata"]["name"]: comparable(obj) for obj in items if not obj["metadata"]["name"].endswith(OURS)}


def rows(server: Server) -> list[list[Any]]:
    """As ``kubectl get apiservices`` shows them, but for their age."""
    answer = server.send("GET", PATH, {"Accept": TABLE}, None)
    cells = [row["cells"][:3] for row in json.loads(answer.body)["rows"]]
    return [row for row in cells if not row[0].endswith(OURS)]


def definition() -> Object:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.registered.example.com"},
        "spec": {"group": "registered.example.com", "scope": "Cluster", "names": names, "versions": [version]},
    }


@pytest.mark.clusters
def test_apiservices_are_those_of_kube_apiserver(servers: tuple[Server, Server]) -> None:
    theirs, ours = servers
    wait_until("all of them", lambda: len(listed(ours)) == len(listed(theirs)))
    assert listed(ours) == listed(theirs)
    assert rows(ours) == rows(theirs)
    for (
        server
    ) in servers:  # a definition's is there while it is, whoever deletes it; the server's own are made when it starts
        assert server.send("DELETE", f"{PATH}/v1.batch", JSON, None).status == 200
        made = server.send("POST", DEFINITIONS, JSON, json.dumps(definition()).encode())
        assert made.status == 201, made.body
        wait_until("its APIService", lambda server=server: CUSTOM in listed(server))
        before = json.loads(server.send("GET", f"{PATH}/{CUSTOM}", {}, None).body)["metadata"]["uid"]
        assert server.send("DELETE", f"{PATH}/{CUSTOM}", JSON, None).status == 200

        def is_back(server: Server = server, before: str = before) -> bool:
            found = server.send("GET", f"{PATH}/{CUSTOM}", {}, None)
            return found.status == 200 and json.loads(found.body)["metadata"]["uid"] != before

        wait_until("another one", is_back)
    assert "v1.batch" not in listed(theirs)
    assert listed(ours) == listed(theirs)
    for server in servers:
        server.send("DELETE", f"{DEFINITIONS}/things.registered.example.com", JSON, None)
        wait_until("its end", lambda server=server: CUSTOM not in listed(server))
