"""APIServices of what is served here: made at the start, and as long as a CustomResourceDefinition serves a version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kafila.reconcile.kubernetes.autoregister import AutoRegister
from tests.attack.extensions import APISERVICES
from tests.definitions import definition as defined
from tests.definitions import version

from .conftest import Api

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LABEL = "kube-aggregator.kubernetes.io/automanaged"
NAME = "v1.autoregister.example.com"


def definition(plural: str, *versions: str, served: bool = True) -> dict[str, Any]:
    made = (version(name, served=served or not number, storage=not number) for number, name in enumerate(versions))
    return defined("autoregister.example.com", plural[:-1].capitalize(), *made, scope="Cluster")


@pytest.fixture
async def registering(api: Api) -> AsyncIterator[AutoRegister]:
    controller = AutoRegister(api.registry)
    await controller.start()
    await controller.queue.idle()
    yield controller
    await controller.stop()


async def names(api: Api) -> set[str]:
    return {item["metadata"]["name"] for item in (await api.get(APISERVICES)).json()["items"]}


async def remove(api: Api, plural: str) -> None:
    """Nobody else is here to clean up after a definition."""
    path = f"{DEFINITIONS}/{plural}.autoregister.example.com"
    await api.delete(path)
    await api.patch(path, {"metadata": {"finalizers": None}})
    assert (await api.get(path)).status_code == 404


async def test_groups_of_the_server_are_registered_when_it_starts(api: Api, registering: AutoRegister) -> None:
    found = (await api.get(f"{APISERVICES}/v1.apps")).json()
    assert found["metadata"]["labels"] == {LABEL: "onstart"}
    assert found["spec"] == {
        "group": "apps",
        "version": "v1",
        "groupPriorityMinimum": 17800,
        "versionPriority": 15,
    }
    (condition,) = found["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Available", "True", "Local")
    assert {"v1.", "v1alpha1.policy.karmada.io", "v1alpha1.cluster.karmada.io"} <= await names(api)
    await api.delete(f"{APISERVICES}/v1.apps")
    await api.patch(f"{APISERVICES}/v1.batch", {"spec": {"versionPriority": 7}})
    await api.patch(f"{APISERVICES}/v1.policy", {"metadata": {"labels": None}, "spec": {"versionPriority": 7}})
    await registering.queue.idle()
    assert "v1.apps" not in await names(api)  # as in Kubernetes: until somebody starts
    later = AutoRegister(api.registry)
    await later.start()
    await later.queue.idle()
    for name, priority in (("v1.apps", 15), ("v1.batch", 15), ("v1.policy", 7)):
        assert (await api.get(f"{APISERVICES}/{name}")).json()["spec"]["versionPriority"] == priority
    await later.stop()


async def test_what_is_always_registered_comes_back(api: Api, registering: AutoRegister) -> None:
    before = (await api.get(f"{APISERVICES}/v1alpha1.policy.karmada.io")).json()
    await api.delete(f"{APISERVICES}/v1alpha1.policy.karmada.io")
    await registering.queue.idle()
    after = (await api.get(f"{APISERVICES}/v1alpha1.policy.karmada.io")).json()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_versions_of_definitions_are_registered_while_one_serves_them(
    api: Api, registering: AutoRegister
) -> None:
    await api.made(DEFINITIONS, definition("ones", "v1", "v2"))
    await api.made(DEFINITIONS, definition("twos", "v1"))
    await registering.queue.idle()
    assert {NAME, NAME.replace("v1", "v2")} <= await names(api)
    found = (await api.get(f"{APISERVICES}/{NAME}")).json()
    assert found["metadata"]["labels"] == {LABEL: "true"}
    assert (found["spec"]["groupPriorityMinimum"], found["spec"]["versionPriority"]) == (1000, 100)
    await api.delete(f"{APISERVICES}/{NAME}")
    await registering.queue.idle()
    assert NAME in await names(api)
    await api.patch(f"{DEFINITIONS}/ones.autoregister.example.com", definition("ones", "v1", "v2", served=False))
    await registering.queue.idle()
    assert NAME.replace("v1", "v2") not in await names(api)
    await remove(api, "ones")
    await registering.queue.idle()
    assert NAME in await names(api)  # the other one serves it
    again = AutoRegister(api.registry)  # another process takes over: nothing is taken for what nobody serves
    await again.start()
    await again.queue.idle()
    assert NAME in await names(api)
    await again.stop()
    await remove(api, "twos")
    await registering.queue.idle()
    assert NAME not in await names(api)


async def test_somebody_elses_are_left_alone(api: Api, registering: AutoRegister) -> None:
    spec = {"group": "autoregister.example.com", "version": "v1", "groupPriorityMinimum": 5, "versionPriority": 6}
    mine = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": NAME}, "spec": spec}
    await api.made(APISERVICES, mine)
    await api.made(DEFINITIONS, definition("ones", "v1"))
    await registering.queue.idle()
    assert (await api.get(f"{APISERVICES}/{NAME}")).json()["spec"] == spec
    await remove(api, "ones")
    await registering.queue.idle()
    assert (await api.get(f"{APISERVICES}/{NAME}")).json()["spec"] == spec
