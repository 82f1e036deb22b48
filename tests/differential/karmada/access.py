"""One API server over HTTP: what scenarios do to it, and what it holds."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import yaml
from third_parties import DEFINED

from kafila.core.values import Object

_PATCHES = {
    "apply": "application/apply-patch+yaml",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


@dataclass(frozen=True)
class Kind:
    """``kind``: its name in objects, "" when that is the name it has here."""

    version: str
    plural: str
    namespaced: bool = True
    kind: str = ""

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        root = f"/api/{self.version}" if "/" not in self.version else f"/apis/{self.version}"
        parts = [
            root,
            f"namespaces/{namespace}" if self.namespaced and namespace else "",
            self.plural,
            name,
            subresource,
        ]
        return "/".join(part for part in parts if part)


def _kinds(version: str, namespaced: bool = True, **plurals: str) -> dict[str, Kind]:
    return {kind: Kind(version, plural, namespaced) for kind, plural in plurals.items()}


WORKLOADS = {
    **_kinds(
        "v1", ConfigMap="configmaps", Secret="secrets", Service="services", ServiceAccount="serviceaccounts", Pod="pods"
    ),
    **_kinds("v1", PersistentVolumeClaim="persistentvolumeclaims", ResourceQuota="resourcequotas"),
    **_kinds("v1", False, Namespace="namespaces", PersistentVolume="persistentvolumes"),
    **_kinds(
        "apps/v1",
        Deployment="deployments",
        StatefulSet="statefulsets",
        DaemonSet="daemonsets",
        ReplicaSet="replicasets",
    ),
    **_kinds("batch/v1", Job="jobs", CronJob="cronjobs"),
    **_kinds("networking.k8s.io/v1", Ingress="ingresses"),
    **_kinds("policy/v1", PodDisruptionBudget="poddisruptionbudgets"),
    **_kinds("autoscaling/v2", HorizontalPodAutoscaler="horizontalpodautoscalers"),
    **_kinds("rbac.authorization.k8s.io/v1", Role="roles", RoleBinding="rolebindings"),
    **_kinds(
        "rbac.authorization.k8s.io/v1", False, ClusterRole="clusterroles", ClusterRoleBinding="clusterrolebindings"
    ),
    **_kinds("scheduling.k8s.io/v1", False, PriorityClass="priorityclasses"),
    **_kinds("discovery.k8s.io/v1", EndpointSlice="endpointslices"),
    **{name: Kind(f"{d.group}/{d.version}", d.plural, d.namespaced, d.kind) for name, d in DEFINED.items()},
}
KARMADA = {
    **_kinds("policy.karmada.io/v1alpha1", PropagationPolicy="propagationpolicies", OverridePolicy="overridepolicies"),
    **_kinds("policy.karmada.io/v1alpha1", FederatedResourceQuota="federatedresourcequotas"),
    **_kinds("policy.karmada.io/v1alpha1", False, ClusterPropagationPolicy="clusterpropagationpolicies"),
    **_kinds("policy.karmada.io/v1alpha1", False, ClusterOverridePolicy="clusteroverridepolicies"),
    **_kinds("policy.karmada.io/v1alpha1", False, ClusterTaintPolicy="clustertaintpolicies"),
    **_kinds("work.karmada.io/v1alpha2", ResourceBinding="resourcebindings"),
    **_kinds("work.karmada.io/v1alpha2", False, ClusterResourceBinding="clusterresourcebindings"),
    **_kinds("work.karmada.io/v1alpha1", Work="works"),
    **_kinds("apps.karmada.io/v1alpha1", False, WorkloadRebalancer="workloadrebalancers"),
    **_kinds("autoscaling.karmada.io/v1alpha1", FederatedHPA="federatedhpas", CronFederatedHPA="cronfederatedhpas"),
    **_kinds("config.karmada.io/v1alpha1", False, ResourceInterpreterCustomization="resourceinterpretercustomizations"),
    **_kinds(
        "config.karmada.io/v1alpha1",
        False,
        ResourceInterpreterWebhookConfiguration="resourceinterpreterwebhookconfigurations",
    ),
    **_kinds(
        "networking.karmada.io/v1alpha1",
        MultiClusterIngress="multiclusteringresses",
        MultiClusterService="multiclusterservices",
    ),
    **_kinds("remedy.karmada.io/v1alpha1", False, Remedy="remedies"),
    **_kinds("cluster.karmada.io/v1alpha1", False, Cluster="clusters"),
}
KINDS = {**WORKLOADS, **KARMADA, **_kinds("v1", Event="events")}


@dataclass(frozen=True)
class Answer:
    code: int
    body: Object
    warnings: tuple[str, ...] = ()


class Access:
    """Speaks with the certificate of a kubeconfig's first user."""

    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)
        limits = httpx.Limits(max_connections=16)
        self._http = httpx.AsyncClient(
            base_url=cluster["server"], verify=context, timeout=60, trust_env=False, limits=limits
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def items(self, kind: str) -> list[Object]:
        """All objects of the kind in all namespaces; none when it is not served."""
        while (found := await self._send("GET", KINDS[kind].path())).code == 429:
            await asyncio.sleep(0.5)  # a kind that was defined a moment ago
        if found.code == 404:
            return []
        assert found.code == 200, f"{kind}: {found.code} {found.body}"
        return found.body["items"]

    async def get(self, kind: str, namespace: str, name: str) -> Answer:
        return await self._send("GET", KINDS[kind].path(namespace, name))

    async def apply(self, kind: str, obj: Object) -> Answer:
        path = KINDS[kind].path(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        return await self._send("PATCH", path, obj, _PATCHES["apply"], fieldManager="scenario", force="true")

    async def create(self, kind: str, obj: Object) -> Answer:
        path = KINDS[kind].path(obj["metadata"].get("namespace", ""))
        return await self._send("POST", path, obj, fieldManager="scenario")

    async def patch(
        self, kind: str, namespace: str, name: str, patch: Any, form: str = "merge", subresource: str = ""
    ) -> Answer:
        path = KINDS[kind].path(namespace, name, subresource)
        return await self._send("PATCH", path, patch, _PATCHES[form], fieldManager="scenario")

    async def delete(self, kind: str, namespace: str, name: str) -> Answer:
        return await self._send("DELETE", KINDS[kind].path(namespace, name), {"propagationPolicy": "Background"})

    async def _send(
        self, method: str, path: str, body: Any = None, form: str = "application/json", **query: str
    ) -> Answer:
        headers = {"Content-Type": form} if body is not None else {}
        content = yaml.safe_dump(body) if "yaml" in form else None
        request = self._http.build_request(
            method, path, params=query, headers=headers, content=content, json=None if content or body is None else body
        )
        try:
            got = await self._http.send(request)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if method != "GET":
                raise
            got = await self._http.send(request)  # the server had closed what was idle: as Go's net/http asks again
        return Answer(got.status_code, orjson.loads(got.content), tuple(got.headers.get_list("Warning")))
