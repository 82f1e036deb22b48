"""Controllers ask this control plane's own metrics API, whoever serves it: here an extension server that an APIService names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from kafila.autoscaling.metrics import MetricsError, PodMetric, of_resource
from kafila.reconcile.karmada.federatedhpa.metrics_api import APIMetrics
from kafila.workers.own_api import CALLER, InProcessAPI
from tests.attack.extensions import APISERVICES, extended
from tests.attack.members import answer

from .conftest import Api

ROOT = "/apis/metrics.k8s.io/v1beta1"
ITEM: Any = {
    "metadata": {"name": "web-1", "namespace": "default"},
    "timestamp": "1970-01-01T00:01:00Z",
    "window": "15s",
    "containers": [{"name": "c", "usage": {"cpu": "250m"}}],
}


async def test_an_adapter_behind_an_apiservice(api: Api, tmp_path: Path) -> None:
    async with extended(api, tmp_path) as there:
        there.server.answers[ROOT] = answer(b'{"kind":"APIResourceList","resources":[]}')
        body = orjson.dumps({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": [ITEM]})
        there.server.answers[f"{ROOT}/namespaces/default/pods"] = answer(body)
        where = {"type": "ExternalName", "externalName": "localhost"}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "wardle"}, "spec": where}
        await api.post("/api/v1/namespaces/default/services", service)
        apiservice = there.apiservice("metrics.k8s.io", version="v1beta1")
        apiservice["metadata"]["name"] = "v1beta1.metrics.k8s.io"
        await api.made(APISERVICES, apiservice)
        await there.settled()

        own = InProcessAPI()
        client = APIMetrics(own, api.registry.catalog)
        with pytest.raises(MetricsError, match="the API is not served yet"):
            await client.resource("default", "app=web")
        own.app = api.app
        found = await client.resource("default", "app=web")
        assert of_resource(found, "cpu") == {"web-1": PodMetric(250, 60.0, 15.0)}
        (head,) = [head for head in there.server.asked if b"/namespaces/default/pods" in head]
        assert head.startswith(f"GET {ROOT}/namespaces/default/pods?labelSelector=app%3Dweb ".encode())
        assert f"x-remote-user: {CALLER.name}".encode() in head.lower()

        there.server.answers[f"{ROOT}/namespaces/default/pods"] = answer(b"nothing", "503 Service Unavailable")
        with pytest.raises(MetricsError, match="currently unable to handle the request"):
            await client.resource("default", "app=web")
