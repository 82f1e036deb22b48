"""The status of a template from the statuses that its copies have in member clusters.

Items are ``status.aggregatedStatus`` of the binding. Each function returns the template with the new status, or the same
object when nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.values import Object, nested
from kafila.placement.interpreter.reflect import DAEMON_SET, DEPLOYMENT, REPLICA_SET, STATEFUL_SET, Fields, picked
from kafila.placement.objects import metadata
from kafila.placement.types import AggregatedStatusItem

Items = Sequence[AggregatedStatusItem]
Aggregate = Callable[[Object, Items], Object]


def _statuses(items: Items) -> Iterator[tuple[str, Object]]:
    for item in items:
        if item.get("status") is not None:
            yield item.get("clusterName") or "", item["status"]


def _with_status(obj: Object, status: Object) -> Object:
    """A status of zeros is as good as none: it is not written."""
    same = _significant(status) == _significant(obj.get("status") or {})
    return obj if same else {**obj, "status": status}


def _significant(status: Object) -> Object:
    return {field: value for field, value in status.items() if value and value != {"ingress": []}}


def summed(fields: Fields) -> Aggregate:
    """Numbers of all members added up.

    ``observedGeneration`` becomes the template's generation once every member has seen the newest manifest. Karmada measures
    a StatefulSet by other numbers, which it does not bring back: `kubectl rollout status` would wait for ever.
    """
    counted = [field for field in (*fields.always, *fields.unless_zero) if field != "observedGeneration"]

    def aggregate(obj: Object, items: Items) -> Object:
        old, generation = obj.get("status") or {}, metadata(obj).get("generation") or 0
        total, settled = dict.fromkeys(counted, 0), 0
        for _, member in _statuses(items):
            newest = (member.get("resourceTemplateGeneration") or 0) >= generation
            settled += newest and (member.get("observedGeneration") or 0) >= (member.get("generation") or 0)
            for field in counted:
                total[field] += member.get(field) or 0
        observed = generation if settled == len(items) else old.get("observedGeneration") or 0
        if observed == (old.get("observedGeneration") or 0) and all(
            (old.get(field) or 0) == total[field] for field in counted
        ):
            return obj
        status = {k: v for k, v in old.items() if k not in total and k != "observedGeneration"}
        status.update(picked(total, fields))
        if observed:
            status["observedGeneration"] = observed
        return {**obj, "status": status}

    return aggregate


deployment: Final = summed(DEPLOYMENT)
replica_set: Final = summed(REPLICA_SET)
daemon_set: Final = summed(DAEMON_SET)
stateful_set: Final = summed(STATEFUL_SET)


def service(obj: Object, items: Items) -> Object:
    if nested(obj, "spec", "type") != "LoadBalancer":
        return obj
    return ingress(obj, items)


def ingress(obj: Object, items: Items) -> Object:
    """Addresses of all members: without duplicates, hostnames first."""
    points: dict[tuple[str, str, str], dict[str, Object]] = {}
    for _, member in _statuses(items):
        for point in nested(member, "loadBalancer", "ingress") or ():
            key = (point.get("hostname") or "", point.get("ip") or "", point.get("ipMode") or "")
            ports = points.setdefault(key, {})
            for port in point.get("ports") or ():
                ports[repr(sorted(port.items()))] = port
    balanced: list[Object] = []
    for hostname, ip, mode in sorted(points, key=lambda key: (not key[0], key[0], key[1], not key[2], key[2])):
        made: Object = {k: v for k, v in (("ip", ip), ("hostname", hostname), ("ipMode", mode)) if v}
        ports = points[hostname, ip, mode]
        if ports:
            made["ports"] = sorted(ports.values(), key=_port_order)
        balanced.append(made)
    return _with_status(obj, {"loadBalancer": {"ingress": balanced} if balanced else {}})


def _port_order(port: Object) -> tuple[int, str, bool, str]:
    return port.get("port") or 0, port.get("protocol") or "", port.get("error") is not None, port.get("error") or ""


def _finished(status: Object) -> str:
    """ "Complete", "Failed" or ""."""
    for condition in status.get("conditions") or ():
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            return str(condition["type"])
    return ""


def reported_status(manifest: Object, status: Object, *, is_all: bool = True) -> Object:
    """What a member reports, as far as it is about ``manifest``: an earlier one may have asked a Job for fewer completions.

    ``is_all``: False when more is asked for than members were sent: then it is not complete.
    """
    if manifest.get("kind") != "Job" or _finished(status) != "Complete":
        return status
    asked = nested(manifest, "spec", "completions") or 0
    by_count = asked and nested(manifest, "spec", "successPolicy") is None
    if is_all and not (by_count and (status.get("succeeded") or 0) < asked):
        return status
    kept = {field: value for field, value in status.items() if field not in ("conditions", "completionTime")}
    conditions = [c for c in status["conditions"] if c.get("type") not in ("Complete", "SuccessCriteriaMet")]
    return {**kept, "conditions": conditions} if conditions else kept


def job(obj: Object, items: Items, now: float | None = None) -> Object:
    """A finished Job is not touched again. It is complete when it is so everywhere, failed when it is anywhere."""
    old = obj.get("status") or {}
    if _finished(old):
        return obj
    status: Object = {}
    conditions: list[Object] = []
    failed, complete, criteria = [], 0, 0
    starts, completions = [], []
    for cluster, member in _statuses(items):
        for field in ("active", "succeeded", "failed"):
            if member.get(field):
                status[field] = status.get(field, 0) + member[field]
        result = _finished(member)
        complete += result == "Complete"
        if result == "Failed":
            failed.append(cluster)
        criteria += any(
            c.get("type") == "SuccessCriteriaMet" and c.get("status") == "True" for c in member.get("conditions") or ()
        )
        starts += [member["startTime"]] if member.get("startTime") else []
        completions += [member["completionTime"]] if member.get("completionTime") else []
    stamp = rfc3339(now)
    if failed:
        text = f"Job executed failed in member clusters {','.join(failed)}"
        conditions.append(_job_condition("Failed", "JobFailed", text, stamp))
    if complete == len(items) and complete:
        conditions.append(_job_condition("Complete", "Completed", "Job completed", stamp))
        if criteria == len(items):
            text = "All member clusters have met success criteria"
            conditions.append(_job_condition("SuccessCriteriaMet", "CompletionsReached", text, stamp))
    if conditions:
        status["conditions"] = conditions
    if old.get("startTime"):
        status["startTime"] = old["startTime"]
    elif starts and len(starts) == len(items):
        status["startTime"] = min(starts, key=parse_rfc3339)
    if completions and len(completions) == len(items):
        status["completionTime"] = max(completions, key=parse_rfc3339)
    return _with_status(obj, status)


def _job_condition(type: str, reason: str, message: str, stamp: str) -> Object:
    return {
        "type": type,
        "status": "True",
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def cron_job(obj: Object, items: Items) -> Object:
    old = obj.get("status") or {}
    status: Object = {}
    active = [job for _, member in _statuses(items) for job in member.get("active") or ()]
    if active:
        status["active"] = active
    for field in ("lastScheduleTime", "lastSuccessfulTime"):
        times = [member[field] for _, member in _statuses(items) if member.get(field)]
        if times:
            status[field] = max(times, key=parse_rfc3339)
    kept = {k: v for k, v in old.items() if k not in ("active", "lastScheduleTime", "lastSuccessfulTime")}
    return _with_status(obj, {**kept, **status})


def _phases(items: Items, missing: str) -> set[str]:
    return {(item["status"].get("phase") or "") if item.get("status") is not None else missing for item in items}


def pod(obj: Object, items: Items) -> Object:
    status: Object = {}
    for field in ("containerStatuses", "initContainerStatuses"):
        containers = [_container_status(c) for _, member in _statuses(items) for c in member.get(field) or ()]
        if containers:
            status[field] = containers
    phases = _phases(items, "Pending")
    phase = next((phase for phase in ("Failed", "Pending", "Running", "Succeeded") if phase in phases), "")
    if phase:
        status["phase"] = phase
    return _with_status(obj, status)


def _container_status(member: Object) -> Object:
    """The fields that the API requires are there, empty: containers of several members have no single image or count."""
    return {
        "name": "",
        "state": member.get("state") or {},
        "lastState": {},
        "ready": bool(member.get("ready")),
        "restartCount": 0,
        "image": "",
        "imageID": "",
    }


def persistent_volume(obj: Object, items: Items) -> Object:
    phases = _phases(items, "Pending")
    order = ("Failed", "Pending", "Available", "Bound", "Released")
    phase = next((phase for phase in order if phase in phases), "")
    return _with_status(obj, {"phase": phase} if phase else {})


def persistent_volume_claim(obj: Object, items: Items) -> Object:
    phase = "Bound"
    for _, member in _statuses(items):
        found = member.get("phase") or ""
        if found == "Lost":
            phase = found
            break
        if found != "Bound":
            phase = found
    return _with_status(obj, {"phase": phase} if phase else {})


def pod_disruption_budget(obj: Object, items: Items) -> Object:
    fields = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    status: dict[str, Any] = dict.fromkeys(fields, 0)
    disrupted: dict[str, str] = {}
    for cluster, member in _statuses(items):
        for field in fields:
            status[field] += member.get(field) or 0
        disrupted.update({f"{cluster}/{pod}": when for pod, when in (member.get("disruptedPods") or {}).items()})
    if disrupted:
        status["disruptedPods"] = disrupted
    return _with_status(obj, status)


def horizontal_pod_autoscaler(obj: Object, items: Items) -> Object:
    current = sum(member.get("currentReplicas") or 0 for _, member in _statuses(items))
    desired = sum(member.get("desiredReplicas") or 0 for _, member in _statuses(items))
    status: Object = {"currentReplicas": current} if current else {}
    return _with_status(obj, {**status, "desiredReplicas": desired, "currentMetrics": None})
