"""Node, RuntimeClass and PriorityClass."""

from __future__ import annotations

import json
import re

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object, repeats

from .common import (
    Found,
    check_cidr,
    check_enum,
    check_immutable,
    check_immutable_text,
    check_label_key,
    check_labels,
    check_name,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from .gostructs import go_struct
from .resources import check_amount, check_requirements
from .scheduling import EFFECTS, check_tolerations

_SYSTEM_CLASSES = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
_HIGHEST = 1000000000


def validate_node(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    _check_taints(spec, found)
    _check_status(obj.get("status") or {}, found)
    blocks = spec.get("podCIDRs") or []
    for i, block in enumerate(blocks):
        check_cidr(block, f"spec.podCIDRs[{i}]", found)
    families = [":" in block for block in blocks]
    if len(set(families)) != len(families):
        text = "may specify no more than one CIDR for each IP family"
        found.append(invalid("spec.podCIDRs", blocks, text))
    return found


def _check_taints(spec: Object, found: Found) -> None:
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(spec.get("taints") or ()):
        path = f"metadata.taints[{i}]"
        key, effect = taint.get("key") or "", taint.get("effect") or ""
        check_label_key(key, f"{path}.key", found)
        reasons = names.label_value(taint.get("value") or "")
        if reasons:
            found.append(invalid(f"{path}.value", taint.get("value"), ";".join(reasons)))
        if not effect:
            found.append(required(f"{path}.effect"))
        elif effect not in EFFECTS:
            found.append(not_supported(f"{path}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            text = "taints must be unique by key and effect pair"
            shown = go_struct("api.core.v1.Taint", taint)
            found.append(FieldError("FieldValueDuplicate", path, shown, text))
        seen.add((key, effect))


def _check_status(status: Object, found: Found) -> None:
    for field in ("capacity", "allocatable"):
        for name, amount in (status.get(field) or {}).items():
            check_amount(name, amount, f"status.{field}.{name}", found)
    features = status.get("declaredFeatures") or []
    for i, feature in enumerate(features):
        path = f"status.declaredFeatures[{i}]"
        shown = json.dumps(feature, ensure_ascii=False)
        if len(feature) > LONGEST_FEATURE:
            text = f"must be no more than {LONGEST_FEATURE} characters"
            found.append(invalid(path, feature, f"invalid feature name {shown}: {text}"))
        elif not _FEATURE.fullmatch(feature):
            found.append(invalid(path, feature, f"invalid feature name {shown}: {_FEATURE_TEXT}"))
        if i and feature == features[i - 1]:
            found.append(duplicate(path, feature))
        elif i and feature < features[i - 1]:
            found.append(invalid(path, feature, "list must be sorted alphabetically"))


LONGEST_FEATURE = 253
_FEATURE = re.compile(r"[A-Z][a-zA-Z0-9]*(\/[a-zA-Z][a-zA-Z0-9]*)*")
_FEATURE_TEXT = (
    "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or "
    "MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
)


def validate_node_update(new: Object, old: Object) -> Found:
    """Of its own for writes of status; of other changes, all of the new node is validated before."""
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    status = new.get("status") or {}
    _check_status(status, found)
    addresses = status.get("addresses") or ()
    for i, again in enumerate(repeats(addresses)):
        if again:
            found.append(duplicate(f"status.addresses[{i}]", go_struct("api.core.v1.NodeAddress", addresses[i])))
    blocks, before = spec.get("podCIDRs") or [], was.get("podCIDRs") or []
    if before and blocks != before:
        text = 'node updates may not change podCIDR except from "" to valid'
        found.append(forbidden("spec.podCIDRs", text))
    if was.get("providerID") and spec.get("providerID") != was["providerID"]:
        text = 'node updates may not change providerID except from "" to valid'
        found.append(forbidden("spec.providerID", text))
    _check_taints(spec, found)
    return found


def validate_runtime_class(obj: Object) -> Found:
    found: Found = []
    handler = obj.get("handler")
    if not handler:
        found.append(required("handler"))
    else:
        check_name(handler, "handler", found, names.dns1123_label)
    fixed = (obj.get("overhead") or {}).get("podFixed")
    if fixed:
        check_requirements({"limits": fixed}, "overhead", found)
    scheduling = obj.get("scheduling")
    if scheduling:
        check_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector", found)
        tolerations = scheduling.get("tolerations") or []
        check_tolerations(tolerations, "scheduling.tolerations", found)
        keys = [[t.get(f) or "" for f in ("key", "operator", "value", "effect")] for t in tolerations]
        for i, again in enumerate(repeats(keys)):
            if again:
                found.append(
                    duplicate(f"scheduling.tolerations[{i}]", go_struct("api.core.v1.Toleration", tolerations[i]))
                )
    return found


def validate_runtime_class_update(new: Object, old: Object) -> Found:
    found: Found = []
    check_immutable_text(new.get("handler"), old.get("handler"), "handler", found)
    return found


def validate_priority_class(obj: Object) -> Found:
    found: Found = []
    name, value = (obj.get("metadata") or {}).get("name") or "", obj.get("value") or 0
    if name.startswith("system-"):
        why = _not_system_class(name, value, bool(obj.get("globalDefault")))
        if why:
            text = f"priority class names with 'system-' prefix are reserved for system use only. error: {why}"
            found.append(forbidden("metadata.name", text))
    elif value > _HIGHEST:
        found.append(forbidden("value", f"maximum allowed value of a user defined priority is {_HIGHEST}"))
    if obj.get("preemptionPolicy") is not None:
        check_enum(obj["preemptionPolicy"], ("PreemptLowerPriority", "Never"), "preemptionPolicy", found)
    return found


def _not_system_class(name: str, value: int, is_default: bool) -> str:
    if name not in _SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != _SYSTEM_CLASSES[name]:
        return f"value of {name} PriorityClass must be {_SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def validate_priority_class_update(new: Object, old: Object) -> Found:
    found: Found = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        found.append(forbidden("value", "may not be changed in an update."))
    check_immutable(new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy", found)
    return found
