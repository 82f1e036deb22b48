"""The rows that follow from one object. Pure: works on its JSON.

Members' objects and what users write are not trusted: a field of another shape than Kubernetes' is null, and texts are cut.
``sealed``: the object is encrypted at rest; then nothing goes along that stands only in its body and may be of any content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, cast

from kafila.core import cluster_report
from kafila.core.conditions import find
from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.rollout.begin import revisions_by_cluster
from kafila.placement.types import RolloutStatus
from kafila.store.fleet import Row

from .values import amount, labels, mapping, mappings, message, number, text, texts, time

NOT_SCHEDULED: Final = "NotScheduledYet"
NOT_APPLIED: Final = "NotAppliedYet"
_TOLD: Final = ("message", "labels", "taints", "images")  # columns that have what only the body has
_IDS: Final = (constants.RB_PERMANENT_ID, constants.CRB_PERMANENT_ID)
_READY: Final = ("readyReplicas", "numberReady", "succeeded")


class Named(NamedTuple):
    """Where an object is stored. ``cluster``: the member that it was found in, "" for our own."""

    cluster: str
    resource: str
    namespace: str
    name: str


def of_object(where: Named, obj: Object, api_version: str, kind: str, revision: int, sealed: bool) -> Row:
    """The row of ``object``. ``api_version``, ``kind``: where the body does not say."""
    meta, spec, status = mapping(obj.get("metadata")), mapping(obj.get("spec")), mapping(obj.get("status"))
    kind = text(obj.get("kind")) or kind
    wanted, ready = _counts(kind, spec, status)
    row = {
        **where._asdict(),
        "api_version": text(obj.get("apiVersion")) or api_version,
        "kind": kind,
        "uid": text(meta.get("uid")),
        "labels": labels(meta.get("labels")),
        "generation": number(meta.get("generation")),
        "revision": revision,
        "wanted": wanted,
        "ready": ready,
        "images": images(kind, spec),
        "created": time(meta.get("creationTimestamp")),
        "deleting": bool(meta.get("deletionTimestamp")),
    }
    return _untold(row) if sealed else row


def of_cluster(name: str, obj: Object, sealed: bool) -> Row:
    meta, spec, status = mapping(obj.get("metadata")), mapping(obj.get("spec")), mapping(obj.get("status"))
    ready = _condition(status, "Ready")
    nodes = mapping(status.get("nodeSummary"))
    cpu, memory = cluster_report.amount(obj, "cpu"), cluster_report.amount(obj, "memory")
    taints = (
        f"{text(each.get('key')) or ''}{'=' + value if (value := text(each.get('value'))) else ''}:{text(each.get('effect')) or ''}"
        for each in mappings(spec.get("taints"))
    )
    row = {
        "name": name,
        "mode": text(spec.get("syncMode")),
        "ready": text(ready.get("status")) or "Unknown",
        "reason": text(ready.get("reason")),
        "message": message(ready.get("message")),
        "since": time(ready.get("lastTransitionTime")),
        "version": text(status.get("kubernetesVersion")),
        "provider": text(spec.get("provider")),
        "region": text(spec.get("region")),
        "zones": texts(spec.get("zones") or ([spec["zone"]] if spec.get("zone") else [])),
        "labels": labels(meta.get("labels")),
        "taints": texts(taints),
        "cordoned": cluster_report.is_cordoned(obj),
        "nodes": number(nodes.get("totalNum")) if nodes else None,
        "nodes_ready": number(nodes.get("readyNum", 0)) if nodes else None,
        "cpu": amount(cpu.all),
        "cpu_used": amount(cpu.used),
        "memory": amount(memory.all),
        "memory_used": amount(memory.used),
        "created": time(meta.get("creationTimestamp")),
        "deleting": bool(meta.get("deletionTimestamp")),
    }
    return _untold(row) if sealed else row


def of_binding(namespace: str, name: str, obj: Object, sealed: bool) -> tuple[Row, list[Row]]:
    """The row of ``binding``, and those of ``placement``."""
    meta, spec, status = mapping(obj.get("metadata")), mapping(obj.get("spec")), mapping(obj.get("status"))
    resource, scheduled = mapping(spec.get("resource")), _condition(status, constants.COND_SCHEDULED)
    policy = _policy(mapping(meta.get("annotations")))
    what = {
        "namespace": namespace,
        "binding": name,
        "api_version": text(resource.get("apiVersion")),
        "kind": text(resource.get("kind")),
        "name": text(resource.get("name")),
        "policy": policy,
    }
    row = {
        **what,
        "id": _id(meta),
        "replicas": number(spec.get("replicas")),
        "scheduled": _truth(scheduled.get("status")),
        "reason": text(scheduled.get("reason")) or NOT_SCHEDULED,
        "message": message(scheduled.get("message")),
        "since": time(scheduled.get("lastTransitionTime")),
        "suspended": mapping(spec.get("suspension")).get("scheduling") is True,
        "created": time(meta.get("creationTimestamp")),
        "deleting": bool(meta.get("deletionTimestamp")),
    }
    placements = [{**what, **each} for each in _placements(spec, status, policy)]
    if sealed:
        return _untold(row), [_untold(each) for each in placements]
    return row, placements


def _placements(spec: Object, status: Object, policy: str | None) -> Iterator[Row]:
    """For each cluster that something is placed in, or leaves."""
    why: dict[str, tuple[str, bool]] = {}
    for task in mappings(spec.get("gracefulEvictionTasks")):
        why[text(task.get("fromCluster")) or ""] = f"evicted: {text(task.get('reason')) or 'unknown'}", True
    for snapshot in mappings(spec.get("requiredBy")):
        of = "/".join(filter(None, (text(snapshot.get("namespace")), text(snapshot.get("name")))))
        for each in mappings(snapshot.get("clusters")):
            why[text(each.get("name")) or ""] = f"required by {of}", False
    replicas: dict[str, int | None] = {}
    for each in mappings(spec.get("clusters")):
        name = text(each.get("name")) or ""
        why[name] = f"policy {policy}" if policy else "binding", False
        replicas[name] = number(each.get("replicas"))
    told = {text(each.get("clusterName")): each for each in mappings(status.get("aggregatedStatus"))}
    waits = _waiting(mapping(status.get("rollout")))
    for cluster, (reason, leaving) in why.items():
        if not cluster:
            continue
        seen = told.get(cluster, {})
        yield {
            "cluster": cluster,
            "why": reason,
            "leaving": leaving,
            "waits": not leaving and waits(cluster),
            "replicas": replicas.get(cluster),
            "ready": _ready(mapping(seen.get("status"))),
            "applied": seen.get("applied") is True,
            "health": text(seen.get("health")),
            "message": message(seen.get("appliedMessage")),
        }


def _waiting(rollout: Object) -> Callable[[str], bool]:
    """Has a cluster nothing because its turn in the first rollout of the object has not come?"""
    phase, revision, stable = (text(rollout.get(field)) for field in ("phase", "revision", "stableRevision"))
    if not phase or not revision:
        return lambda cluster: False
    known = {"phase": phase, "revision": revision, "stableRevision": stable or ""}
    rows = [
        {"name": text(row.get("name")), "phase": text(row.get("phase")), "revision": text(row.get("revision")) or ""}
        for row in mappings(rollout.get("clusters"))
    ]
    has = revisions_by_cluster(cast(RolloutStatus, {**known, "clusters": rows}))
    return lambda cluster: not has(cluster)


def of_work(cluster: str, name: str, obj: Object, sealed: bool) -> list[Row]:
    """One for each manifest, and one also for none."""
    meta, spec, status = mapping(obj.get("metadata")), mapping(obj.get("spec")), mapping(obj.get("status"))
    applied = _condition(status, constants.COND_APPLIED)
    suspended = spec.get("suspendDispatching") is True
    found = applied or (_condition(status, "Dispatching") if suspended else {})
    common = {
        "cluster": cluster,
        "work": name,
        "id": _id(meta),
        "applied": _truth(applied.get("status")),
        "reason": text(found.get("reason")) or NOT_APPLIED,
        "message": message(found.get("message")),
        "since": time(found.get("lastTransitionTime")),
        "suspended": suspended,
        "created": time(meta.get("creationTimestamp")),
        "deleting": bool(meta.get("deletionTimestamp")),
    }
    health = {
        number(mapping(each.get("identifier")).get("ordinal")) or 0: text(each.get("health"))
        for each in mappings(status.get("manifestStatuses"))
    }
    manifests = mappings(mapping(spec.get("workload")).get("manifests")) or [{}]
    rows = []
    for ordinal, manifest in enumerate(manifests):
        of, kind = mapping(manifest.get("metadata")), text(manifest.get("kind"))
        rows.append(
            {
                **common,
                "number": ordinal,
                "namespace": text(of.get("namespace")) or "",
                "api_version": text(manifest.get("apiVersion")),
                "kind": kind,
                "name": text(of.get("name")),
                "health": health.get(ordinal),
                "images": images(kind or "", mapping(manifest.get("spec"))),
            }
        )
    return [_untold(row) for row in rows] if sealed else rows


def of_event(namespace: str, name: str, obj: Object, sealed: bool) -> Row:
    about, series = mapping(obj.get("involvedObject")), mapping(obj.get("series"))
    source = text(mapping(obj.get("source")).get("component")) or text(obj.get("reportingComponent"))
    row = {
        "namespace": namespace,
        "event": name,
        "type": text(obj.get("type")),
        "reason": text(obj.get("reason")),
        "message": message(obj.get("message")),
        "source": source,
        "kind": text(about.get("kind")),
        "name": text(about.get("name")),
        "count": number(series.get("count")) or number(obj.get("count")) or 1,
        "first": time(obj.get("firstTimestamp")) or time(obj.get("eventTime")),
        "last": time(series.get("lastObservedTime")) or time(obj.get("lastTimestamp")) or time(obj.get("eventTime")),
    }
    return {**_untold(row), "reason": None} if sealed else row


def _untold(row: Row) -> Row:
    return {column: None if column in _TOLD else value for column, value in row.items()}


def _condition(status: Object, type: str) -> Object:
    return dict(find(mappings(status.get("conditions")), type) or {})


def _truth(value: Any) -> bool | None:
    return {"True": True, "False": False}.get(value) if isinstance(value, str) else None


def _id(meta: Object) -> str:
    found = mapping(meta.get("labels"))
    return next((each for key in _IDS if (each := text(found.get(key)))), "")


def _policy(annotations: Object) -> str | None:
    if name := text(annotations.get(constants.PP_NAME)):
        return f"{text(annotations.get(constants.PP_NAMESPACE)) or ''}/{name}"
    return text(annotations.get(constants.CPP_NAME))


def _counts(kind: str, spec: Object, status: Object) -> tuple[int | None, int | None]:
    """How many pods, or completions, there are to be, and how many are ready, or done."""
    if kind == "Pod":
        conditions = mappings(status.get("conditions"))
        return 1, int((find(conditions, "Ready") or {}).get("status") == "True")
    if kind == "DaemonSet":
        return number(status.get("desiredNumberScheduled")), _ready(status) or 0
    if kind == "Job":
        return number(spec.get("completions")) or number(spec.get("parallelism")) or 1, _ready(status) or 0
    if (wanted := number(spec.get("replicas"))) is None or not isinstance(spec.get("template"), dict):
        return None, None
    return wanted, _ready(status) or 0


def _ready(status: Object) -> int | None:
    return next((found for key in _READY if (found := number(status.get(key))) is not None), None)


def images(kind: str, spec: Object) -> list[str] | None:
    """Of all containers of what has any, in their order."""
    if kind == "CronJob":
        spec = mapping(mapping(spec.get("jobTemplate")).get("spec"))
    pod = spec if kind == "Pod" else mapping(mapping(spec.get("template")).get("spec"))
    lists = [mappings(pod.get(key)) for key in ("initContainers", "containers", "ephemeralContainers")]
    return texts(each.get("image") for found in lists for each in found) or None
