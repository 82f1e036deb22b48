"""kafila.installation.manifests: what is said stands in the objects, and of the placeholders and of Helm nothing is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kafila.installation import placeholders
from kafila.installation.manifests import OURS, RESOURCES, Wanted, is_image, objects

WANTED = Wanted(
    "here", "registry.example.org/kafila:1", "192.0.2.1:6443", "0a1b2c3d", database_secret="mine", database_key="url"
)


def by_kind(wanted: Wanted) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for obj in objects(wanted):
        found.setdefault(obj["kind"], []).append(obj)
    return found


def test_what_is_said_stands_in_them() -> None:
    found = by_kind(WANTED._replace(node_port=30001, api_replicas=9, workers_replicas=1))
    assert {o["metadata"]["namespace"] for each in found.values() for o in each} == {"here"}
    pods = [o["spec"]["template"]["spec"] for o in (*found["Deployment"], *found["Job"])]
    assert {pod["containers"][0]["image"] for pod in pods} == {"registry.example.org/kafila:1"}
    advertised = [a for pod in pods for a in pod["containers"][0]["args"] if a.startswith("--advertise=")]
    assert advertised == ["--advertise=192.0.2.1:6443"] * 2
    (service,) = found["Service"]
    assert (service["spec"]["type"], service["spec"]["ports"][0]["nodePort"]) == ("NodePort", 30001)
    (scaling,) = found["HorizontalPodAutoscaler"]
    assert (scaling["spec"]["minReplicas"], scaling["spec"]["maxReplicas"]) == (9, 9)
    assert {o["metadata"]["name"]: o["spec"].get("replicas") for o in found["Deployment"]} == {
        "kafila-api": None,  # the autoscaler's
        "kafila-workers": 1,
    }
    assert found["Job"][0]["metadata"]["name"] == "kafila-migrate-0a1b2c3d"
    assert "namespace: here" in next(c for c in found["ConfigMap"])["data"]["kubeconfig"]


@pytest.mark.parametrize("wanted", [WANTED, WANTED._replace(database_secret="", service_type="LoadBalancer")])
def test_nothing_is_left_of_placeholders_and_of_helm(wanted: Wanted) -> None:
    text = json.dumps(objects(wanted)).lower()
    for word in (placeholders.NAMESPACE, placeholders.ADVERTISE, placeholders.REPOSITORY, "placeholder", "helm"):
        assert word not in text
    for obj in objects(wanted):
        assert OURS.items() <= obj["metadata"]["labels"].items()


def test_the_database_is_the_users_or_one_of_its_own() -> None:
    def references(wanted: Wanted) -> set[tuple[str, str]]:
        found = by_kind(wanted)
        variables = [
            v
            for o in (*found["Deployment"], *found["Job"])
            for v in o["spec"]["template"]["spec"]["containers"][0]["env"]
        ]
        secrets = [v["valueFrom"]["secretKeyRef"] for v in variables if v["name"] == "KAFILA_DATABASE_URL"]
        assert len(secrets) == 3
        return {(each["name"], each["key"]) for each in secrets}

    assert references(WANTED) == {("mine", "url")}
    assert "Cluster" not in by_kind(WANTED)
    own = WANTED._replace(database_secret="")
    assert references(own) == {("kafila-db-app", "uri")}
    assert len(by_kind(own)["Cluster"]) == 1


def test_what_others_need_is_made_first() -> None:
    kinds = [obj["kind"] for obj in objects(WANTED)]
    assert kinds == sorted(kinds, key=list(RESOURCES).index)
    assert kinds[-1] == "Job"


def test_one_call_leaves_the_next_alone() -> None:
    before = json.dumps(objects(WANTED))
    objects(WANTED)[0]["metadata"]["labels"]["changed"] = "yes"
    assert json.dumps(objects(WANTED)) == before


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("kafila", True),
        ("kafila:0.1.0", True),
        ("registry.example.org:5000/a/b:1@sha256:" + "0" * 64, True),
        ("", False),
        ("kafila:1\n--privileged", False),
        ("{{ .Values }}", False),
        ("a" * 300, False),
        ("kafila@sha256:1", False),
    ],
)
def test_what_an_image_may_be(text: str, is_one: bool) -> None:
    assert is_image(text) is is_one
