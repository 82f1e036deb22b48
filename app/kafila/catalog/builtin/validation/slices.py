"""Dynamic resource allocation: ResourceSlices, and the devices and counters in them."""

from __future__ import annotations

import re

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    Found,
    check_immutable,
    check_immutable_text,
    check_label_key,
    check_name,
    forbidden,
    invalid,
    not_supported,
    required,
)
from .devices import check_qualified, each
from .scheduling import check_node_selector
from .volumes import check_driver_name

MOST_DEVICES = 128
MOST_ATTRIBUTES = 32
MOST_COUNTER_SETS = 8
MOST_COUNTERS = 32
MOST_TAINTS = 16
LONGEST_VALUE = 64
LONGEST_POOL = 253
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_ONE_NODE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"


def validate_resource_slice(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_driver_name(spec.get("driver") or "", "spec.driver", found)
    _check_pool(spec.get("pool") or {}, "spec.pool", found)
    _check_place(spec, found)
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        found.append(invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    alone = bool(spec.get("perDeviceNodeSelection"))

    def device(item: Object, at: str, found: Found) -> None:
        _check_device(item, at, found)
        _check_own_place(item, at, found, alone)

    each(spec.get("devices"), MOST_DEVICES, "spec.devices", found, device, "name")
    each(spec.get("sharedCounters"), MOST_COUNTER_SETS, "spec.sharedCounters", found, _check_counters, "name")
    return found


def validate_resource_slice_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    check_immutable_text(
        (spec.get("pool") or {}).get("name"), (was.get("pool") or {}).get("name"), "spec.pool.name", found
    )
    check_immutable_text(spec.get("driver"), was.get("driver"), "spec.driver", found)
    check_immutable(spec.get("nodeName"), was.get("nodeName"), "spec.nodeName", found)
    return found


def _check_pool(pool: Object, path: str, found: Found) -> None:
    name = pool.get("name") or ""
    if not name:
        found.append(required(f"{path}.name"))
    else:
        if len(name) > LONGEST_POOL:
            found.append(FieldError.too_long(f"{path}.name", LONGEST_POOL))
        for part in name.split("/"):
            check_name(part, f"{path}.name", found)
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    if count <= 0:
        found.append(invalid(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        found.append(invalid(f"{path}.generation", generation, "must be greater than or equal to zero"))


def _check_place(spec: Object, found: Found) -> None:
    """Where the devices are: exactly one way to say it."""
    given = []
    if spec.get("nodeName") is not None:
        if spec["nodeName"]:
            given.append("`nodeName`")
            check_name(spec["nodeName"], "spec.nodeName", found)
        else:
            found.append(invalid("spec.nodeName", "", "must be either unset or set to a non-empty string"))
    if spec.get("nodeSelector") is not None:
        given.append("`nodeSelector`")
        check_node_selector(spec["nodeSelector"], "spec.nodeSelector", found)
        terms = spec["nodeSelector"].get("nodeSelectorTerms") or []
        if len(terms) != 1:
            text = "must have exactly one node selector term"
            found.append(invalid("spec.nodeSelector.nodeSelectorTerms", terms, text))
    for field in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(field):
            given.append(f"`{field}`")
        elif spec.get(field) is False:
            found.append(invalid(f"spec.{field}", False, "must be either unset or set to true"))
    if not given:
        found.append(required("spec", _ONE_NODE))
    elif len(given) > 1:
        text = f"{_ONE_NODE}, but multiple fields are set"
        found.append(invalid("spec", f"{{{', '.join(given)}}}", text))


def _check_device(device: Object, path: str, found: Found) -> None:
    check_name(device.get("name") or "", f"{path}.name", found, names.dns1123_label)
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacity) > MOST_ATTRIBUTES:
        text = f"the total number of attributes and capacities must not exceed {MOST_ATTRIBUTES}"
        found.append(invalid(path, len(attributes) + len(capacity), text))
    for name, attribute in attributes.items():
        check_qualified(name, f"{path}.attributes", found)
        _check_attribute(attribute or {}, f"{path}.attributes[{name}]", found)
    for name, amount in capacity.items():
        check_qualified(name, f"{path}.capacity", found)
        if (amount or {}).get("requestPolicy") is not None and not device.get("allowMultipleAllocations"):
            at = f"{path}.capacity[{name}].requestPolicy"
            found.append(forbidden(at, "allowMultipleAllocations must be true"))
        policy = (amount or {}).get("requestPolicy") or {}
        if (
            device.get("allowMultipleAllocations")
            and policy.get("validValues")
            and policy.get("validRange") is not None
        ):
            text = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
            found.append(forbidden(f"{path}.capacity[{name}].requestPolicy", text))
    each(device.get("taints"), MOST_TAINTS, f"{path}.taints", found, _check_taint)
    each(device.get("consumesCounters"), MOST_COUNTER_SETS, f"{path}.consumesCounters", found, _check_consumed)


def _check_taint(taint: Object, path: str, found: Found) -> None:
    check_label_key(taint.get("key") or "", f"{path}.key", found)
    for why in names.label_value(taint.get("value") or ""):
        found.append(invalid(f"{path}.value", taint.get("value"), why))
    effect = taint.get("effect") or ""
    if effect not in _EFFECTS:
        where = f"{path}.effect"
        found.append(not_supported(where, effect, _EFFECTS) if effect else required(where))


_EFFECTS = ("NoExecute", "NoSchedule", "None")


def _check_consumed(consumed: Object, path: str, found: Found) -> None:
    name, amounts = consumed.get("counterSet") or "", consumed.get("counters") or {}
    if name:
        check_name(name, f"{path}.counterSet", found, names.dns1123_label)
    else:
        found.append(required(f"{path}.counterSet"))
    if not amounts:
        found.append(required(f"{path}.counters"))
    for key in sorted(amounts):
        check_name(key, f"{path}.counters", found, names.dns1123_label)


def _check_own_place(device: Object, path: str, found: Found, alone: bool) -> None:
    """Devices say where they are if their slice leaves it to them, and only then."""
    fields = ("nodeName", "nodeSelector", "allNodes")
    if not alone:
        if any(device.get(field) is not None for field in fields):
            found.append(invalid(path, None, f"{_OWN_PLACE} can only be set if {_SLICE_LEAVES_IT}"))
        return
    given = [f"`{field}`" for field in fields if device.get(field)]
    if device.get("nodeName") is not None:
        if device["nodeName"]:
            check_name(device["nodeName"], f"{path}.nodeName", found)
        else:
            found.append(invalid(f"{path}.nodeName", "", "must not be empty"))
    if device.get("nodeSelector") is not None:
        check_node_selector(device["nodeSelector"], f"{path}.nodeSelector", found)
    if device.get("allNodes") is False:
        found.append(invalid(f"{path}.allNodes", False, "must be either unset or set to true"))
    text = f"exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when {_SLICE_LEAVES_IT}"
    if not given:
        found.append(required(path, text))
    elif len(given) > 1:
        found.append(invalid(path, f"{{{', '.join(given)}}}", text))


_OWN_PLACE = "`nodeName`, `nodeSelector` and `allNodes`"
_SLICE_LEAVES_IT = "`perDeviceNodeSelection` is set to true in the ResourceSlice spec"


def _check_counters(counters: Object, path: str, found: Found) -> None:
    name, amounts = counters.get("name") or "", counters.get("counters") or {}
    if name:
        check_name(name, f"{path}.name", found, names.dns1123_label)
    else:
        found.append(required(f"{path}.name"))
    if not amounts:
        found.append(required(f"{path}.counters"))
    elif len(amounts) > MOST_COUNTERS:
        found.append(FieldError.too_many(f"{path}.counters", len(amounts), MOST_COUNTERS))
    for key in sorted(amounts):
        check_name(key, f"{path}.counters", found, names.dns1123_label)


_ATTRIBUTE_VALUES = {  # by the names of Go's fields, of which lists are off by default
    "int": "IntValue",
    "bool": "BoolValue",
    "string": "StringValue",
    "version": "VersionValue",
    "ints": "IntValues",
    "bools": "BoolValues",
    "strings": "StringValues",
    "versions": "VersionValues",
}


def _check_attribute(attribute: Object, path: str, found: Found) -> None:
    values = {k: v for k, v in attribute.items() if v is not None and not isinstance(v, list)}
    text, version = values.get("string"), values.get("version")
    if text is not None and len(text) > LONGEST_VALUE:
        found.append(FieldError.too_long(f"{path}.string", LONGEST_VALUE))
    if version is not None:
        if not _SEMVER.fullmatch(version):
            found.append(invalid(f"{path}.version", version, "must be a string compatible with semver.org spec 2.0.0"))
        if len(version) > LONGEST_VALUE:
            found.append(FieldError.too_long(f"{path}.version", LONGEST_VALUE))
    if len(values) != 1:
        shown = {go: values.get(name) for name, go in _ATTRIBUTE_VALUES.items()}
        found.append(invalid(path, shown if values else "", "exactly one value must be specified"))
