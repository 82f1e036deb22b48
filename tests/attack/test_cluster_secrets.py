"""Who may write Clusters does not read Secrets by them: what a Cluster names is sent to the address that it names."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.settings.settings import Settings
from kafila.workers.admission import admission
from tests.integration.api.conftest import CATALOG, Api
from tests.integration.api.test_authorization import ANN, grant, message, rule

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
WHERE = {"namespace": "kube-system", "name": "hers"}


def cluster(name: str, **spec: Any) -> Object:
    found = {"syncMode": "Push", "apiEndpoint": "https://evil.example.com", **spec}
    return {
        "apiVersion": "cluster.karmada.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name},
        "spec": found,
    }


@pytest.fixture
async def writer(api: Api) -> Api:
    """ann may write Clusters, and no more."""
    api.registry.staging.admission = admission(api.cache, CATALOG, Settings(), api.authorizer)
    there = cluster("there", apiEndpoint="https://good.example.com", secretRef=WHERE, impersonatorSecretRef=WHERE)
    await api.made(CLUSTERS, there)
    await grant(api, rule("get create update patch", "clusters", "cluster.karmada.io"), namespace="")
    return api


@pytest.mark.parametrize("field", ["secretRef", "impersonatorSecretRef"])
async def test_a_secret_that_one_may_not_read_cannot_be_named(writer: Api, field: str) -> None:
    why = 'User "ann" cannot get resource "secrets" hers in the namespace "kube-system"'
    assert why in message(await writer.post(CLUSTERS, cluster("m1", **{field: WHERE})))
    await writer.made(CLUSTERS, cluster("m1"))
    assert why in message(await writer.patch(f"{CLUSTERS}/m1", {"spec": {field: WHERE}}))
    await grant(writer, rule("get", "secrets", names="hers"), namespace="kube-system", name="reader")
    assert (await writer.patch(f"{CLUSTERS}/m1", {"spec": {field: WHERE}})).status_code == 200


@pytest.mark.parametrize("way", [{"apiEndpoint": "https://evil.example.com"}, {"proxyURL": "http://evil.example.com"}])
async def test_nor_sent_to_another_address(writer: Api, way: Object) -> None:
    assert 'cannot get resource "secrets"' in message(await writer.patch(f"{CLUSTERS}/there", {"spec": way}))
    assert (await writer.patch(f"{CLUSTERS}/there", {"spec": {"region": "x"}})).status_code == 200
    assert writer.user == ANN
