"""`kafila init`: everything that is needed is put into a host cluster, and waited for. Every step may be repeated."""

from __future__ import annotations

import base64
import time
from typing import Final, NamedTuple

from kafila.core.values import Object
from kafila.members.client import MemberClient, resource_path

from .host import CLOUD_NATIVE_PG, InstallationError, Print, apply, check_not_helms, delete, eventually, shown
from .manifests import API, COMPONENT, KUBECONFIG_SECRET, OURS, WORKERS, Wanted, database_secret, objects
from .troubles import Troubles

PORT: Final = 5443
_RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
_CONTROL_PLANE: Final = "node-role.kubernetes.io/control-plane"


class Plan(NamedTuple):
    """What was asked for. ``advertise``: "" for an address of a node; ``wait``: seconds."""

    wanted: Wanted
    database_url: str = ""
    wait: float = 300.0
    dry_run: bool = False


async def install(host: MemberClient, plan: Plan, report: Print) -> str:
    """The administrator's kubeconfig, as the control plane has written it ("" in a dry run). Raises InstallationError, or what the
    API said."""
    wanted = plan.wanted
    version = (await host.get("/version")).get("gitVersion", "")
    report(f"[1/5] host cluster {host.endpoint} ({version}), namespace {wanted.namespace}")
    is_there = await _check(host, plan)
    if not wanted.advertise:
        wanted = wanted._replace(advertise=await _node_address(host, wanted.node_port))
    report(f"      clients will use https://{wanted.advertise}")
    wanted_objects = objects(wanted)
    if plan.database_url:
        wanted_objects.insert(0, database_secret(wanted.namespace, plan.database_url))
    if plan.dry_run and not is_there:  # the API takes no object of a namespace that it does not know
        report(f"      namespace/{wanted.namespace} would be created, so that the rest is not checked (dry run)")
    if plan.dry_run:
        for obj in wanted_objects:
            if is_there and obj["kind"] != "Cluster":
                await apply(host, obj, dry_run=True)
            report(f"      {shown(obj)} would be applied (dry run)")
        return ""
    if not is_there:
        await host.create(resource_path("v1", "namespaces"), _namespace(wanted.namespace))
    report(f"[2/5] {len(wanted_objects)} objects")
    await _remove_jobs(host, wanted.namespace)
    for obj in wanted_objects:
        await apply(host, obj)
        report(f"      {shown(obj)}")
    deadline = time.monotonic() + plan.wait
    troubles = Troubles(host, wanted.namespace, report)
    report("[3/5] the database, its schema and the certificates")
    kubeconfig = await _migrated(host, wanted, deadline, troubles)
    for step, name in ((4, API), (5, WORKERS)):
        report(f"[{step}/5] deployment/{name}")
        await _rolled_out(host, wanted.namespace, name, deadline, troubles)
    return kubeconfig


async def _check(host: MemberClient, plan: Plan) -> bool:
    """Whether the namespace is there. What can be known before anything is changed. Raises InstallationError."""
    wanted = plan.wanted
    namespace = await host.find(resource_path("v1", "namespaces", name=wanted.namespace))
    if namespace is not None and namespace["metadata"].get("deletionTimestamp"):
        raise InstallationError(f"namespace {wanted.namespace} is being deleted; wait until it is gone")
    if namespace is not None:
        await check_not_helms(host, wanted.namespace)
    if wanted.database_secret and not plan.database_url:
        path = resource_path("v1", "secrets", wanted.namespace, wanted.database_secret)
        found = await host.find(path)
        if found is None or wanted.database_key not in (found.get("data") or {}):
            name = f"{wanted.namespace}/{wanted.database_secret}"
            raise InstallationError(
                f"--database-secret: the Secret {name} with the key {wanted.database_key} does not exist"
            )
    if not wanted.database_secret and await host.find(f"/apis/{CLOUD_NATIVE_PG}") is None:
        raise InstallationError(
            f"--cloudnative-pg: {host.endpoint} serves no {CLOUD_NATIVE_PG}: install its operator first, or give --database-url"
        )
    return namespace is not None


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**OURS, **_RESTRICTED}}}


async def _node_address(host: MemberClient, port: int) -> str:
    """Of a ready node, first of those of the control plane: what karmadactl init takes. Raises InstallationError."""
    nodes, _ = await host.list(resource_path("v1", "nodes"))
    nodes.sort(key=lambda node: (_CONTROL_PLANE not in node["metadata"].get("labels", {}), node["metadata"]["name"]))
    for node in nodes:
        status = node.get("status", {})
        is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
        for address in status.get("addresses", ()) if is_ready else ():
            if address["type"] == "InternalIP":
                text = address["address"]
                return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
    raise InstallationError(
        "no node is ready and has an address: give --advertise HOST:PORT, which leads to the Service kafila"
    )


async def _remove_jobs(host: MemberClient, namespace: str) -> None:
    """Those of earlier runs."""
    collection = resource_path("batch/v1", "jobs", namespace)
    for job in (await host.list(collection, query={"labelSelector": _selector("migration")}))[0]:
        await delete(host, f"{collection}/{job['metadata']['name']}", job["metadata"]["uid"])


def _selector(component: str) -> str:
    return ",".join(f"{key}={value}" for key, value in {**OURS, COMPONENT: component}.items())


async def stored_kubeconfig(host: MemberClient, namespace: str) -> str:
    """The administrator's, as the control plane has written it; "" where there is none."""
    secret = await host.find(resource_path("v1", "secrets", namespace, KUBECONFIG_SECRET)) or {}
    return base64.b64decode((secret.get("data") or {}).get("kubeconfig", "")).decode()


async def _migrated(host: MemberClient, wanted: Wanted, deadline: float, troubles: Troubles) -> str:
    job = f"kafila-migrate-{wanted.run}"
    kubeconfig = ""

    async def done() -> bool:
        nonlocal kubeconfig
        found = await host.get(resource_path("batch/v1", "jobs", wanted.namespace, job))
        conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", ()) if c["status"] == "True"}
        if failed := conditions.get("Failed"):
            raise InstallationError(
                f"job/{job} failed ({failed.get('reason', '')}): kubectl -n {wanted.namespace} logs job/{job} says why"
            )
        if "Complete" not in conditions:
            return False
        kubeconfig = await stored_kubeconfig(host, wanted.namespace)
        return kubeconfig != ""

    await eventually(f"job/{job}", deadline, done, lambda: troubles.look("migration"))
    return kubeconfig


async def _rolled_out(host: MemberClient, namespace: str, name: str, deadline: float, troubles: Troubles) -> None:
    async def done() -> bool:
        found = await host.get(resource_path("apps/v1", "deployments", namespace, name))
        status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return seen and status.get("updatedReplicas", 0) >= wanted <= status.get("availableReplicas", 0)

    await eventually(f"deployment/{name}", deadline, done, lambda: troubles.look(name.removeprefix("kafila-")))
