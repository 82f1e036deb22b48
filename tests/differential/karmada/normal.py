"""The form in which two control planes can be compared: without uids, times and versions, everything else as it is. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from kafila.core.values import Object

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_ADDRESS = re.compile(r"\b(127\.0\.0\.1|localhost):\d+\b")
_SERVICE_IP = re.compile(r"\b10\.(9[6-9]|10\d|11[01])\.\d+\.\d+\b")
_DROPPED = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink")
_FOR_SERVICE = "multiclusterservice.karmada.io/permanent-id"
_PLACEMENT = "policy.karmada.io/applied-placement"
_PERMANENT = {
    "PropagationPolicy": "propagationpolicy.karmada.io/permanent-id",
    "ClusterPropagationPolicy": "clusterpropagationpolicy.karmada.io/permanent-id",
    "ResourceBinding": "resourcebinding.karmada.io/permanent-id",
    "ClusterResourceBinding": "clusterresourcebinding.karmada.io/permanent-id",
    "Work": "work.karmada.io/permanent-id",
    "MultiClusterService": "multiclusterservice.karmada.io/permanent-id",
}


class Names:
    """What each uid stands for. Kept through a scenario: ids outlive their objects."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, place: str, key: str, obj: Object) -> None:
        metadata = obj["metadata"]
        prefix = "" if place == "control plane" else f"{place} "
        self._known[metadata["uid"]] = f"<uid of {prefix}{key}>"
        own = (metadata.get("labels") or {}).get(_PERMANENT.get(obj.get("kind", ""), ""))
        if own and prefix == "":
            self._known.setdefault(own, f"<id of {key}>")

    def text(self, value: str) -> str:
        value = _UUID.sub(lambda found: self._known.get(found.group(), "<some uid>"), value)
        value = _TIME.sub("<time>", value)
        value = _ADDRESS.sub("<address>", value)
        return _SERVICE_IP.sub("<service ip>", value)

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(k): self.value(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value


def normal(obj: Object, names: Names) -> Object:
    """The object without what differs between two runs of the same program."""
    generation = obj["metadata"].get("generation")
    result = names.value({k: v for k, v in obj.items() if k not in ("apiVersion", "kind")})
    result["metadata"] = _metadata(result["metadata"])
    if isinstance(result.get("status"), dict):
        result["status"] = _status(result["status"], generation)
    if _FOR_SERVICE in (obj["metadata"].get("labels") or {}):
        _sort_clusters(result)
    spec = result.get("spec")
    if isinstance(spec, dict):
        if isinstance(spec.get("resource"), dict) and "resourceVersion" in spec["resource"]:
            spec["resource"]["resourceVersion"] = "<version>"
        for manifest in (spec.get("workload") or {}).get("manifests") or ():
            manifest["metadata"] = _metadata(manifest.get("metadata") or {})
    return result


def _sort_clusters(binding: Object) -> None:
    """The clusters of a MultiClusterService are a set, which Karmada writes in any order."""
    affinity = ((binding.get("spec") or {}).get("placement") or {}).get("clusterAffinity")
    if affinity and affinity.get("clusterNames"):
        affinity["clusterNames"] = sorted(affinity["clusterNames"])
        binding["metadata"].get("annotations", {})[_PLACEMENT] = {"clusterAffinity": affinity}


def _metadata(metadata: Object) -> Object:
    kept = {k: v for k, v in metadata.items() if k not in _DROPPED}
    if "finalizers" in kept:
        kept["finalizers"] = sorted(kept["finalizers"])
    kept.pop("name", None)  # in the key
    kept.pop("namespace", None)
    return kept


def _status(status: Object, generation: int | None) -> Object:
    result = dict(status)
    for name in ("observedGeneration", "schedulerObservedGeneration"):
        if name in result and generation is not None:
            result[name] = (
                "<current>" if result[name] == generation else "<behind>" if result[name] < generation else "<ahead>"
            )
    if isinstance(result.get("conditions"), list):
        result["conditions"] = {
            c.get("type", ""): {k: v for k, v in c.items() if k != "type"} for c in result["conditions"]
        }
        for condition in result["conditions"].values():
            condition.pop("observedGeneration", None)
    for item in (*(result.get("aggregatedStatus") or ()), *(result.get("manifestStatuses") or ())):
        if isinstance(item.get("status"), dict):
            item["status"] = _status(item["status"], None)
            item["status"].pop("observedGeneration", None)
            item["status"].pop("generation", None)
    return result


def event_subject(event: Object) -> str:
    about = event["involvedObject"]
    return "/".join(about[part] for part in ("kind", "namespace", "name") if about.get(part))


def event_text(event: Object, names: Names) -> str:
    """An event as one line; how often it happened does not count."""
    source = (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""
    message = names.text(event.get("message", ""))
    return f"{event_subject(event)}: {event.get('type', '')} {event.get('reason', '')} by {source}: {message}"


def refusal(body: Object, names: Names) -> Object:
    """A Status that says no."""
    kept = {k: v for k, v in body.items() if k in ("code", "reason", "message", "details")}
    return names.value(kept)


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    """Every fact by its path. Empty maps and lists are facts too."""
    if isinstance(value, dict) and value:
        return {p: v for k, child in value.items() for p, v in leaves(child, f"{at}|{k}").items()}
    if isinstance(value, list) and value:
        return {p: v for i, child in enumerate(value) for p, v in leaves(child, f"{at}|{i}").items()}
    return {at: json.dumps(value, sort_keys=True)}
