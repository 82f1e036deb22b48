"""Volumes, claims and the classes and drivers behind them."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable
from typing import Any

from kafila.core import names
from kafila.core.errors import MOST_ALIKE, FieldError
from kafila.core.values import Object, repeats

from .claims import VOLUME_MODES, check_access_modes, check_claim_spec
from .common import (
    NOT_POSITIVE,
    Found,
    check_immutable,
    check_immutable_text,
    check_label_key,
    check_label_selector,
    check_name,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    same,
)
from .csi import VOLUME_SOURCES, check_csi_secrets, check_inline_volume
from .disks import check_fc, check_iscsi, check_nfs
from .gostructs import go_struct
from .resources import parse
from .scheduling import check_node_selector
from .volumes import check_driver_name, check_host_path

_CHECKED = {"hostPath": check_host_path, "nfs": check_nfs, "iscsi": check_iscsi, "fc": check_fc}


def spec_immutable(definition: str) -> Callable[[Object, Object], Found]:
    """The check of a kind whose spec stays as it is; ``definition`` names the spec's type."""

    def check(new: Object, old: Object) -> Found:
        if new.get("spec") == old.get("spec") or same(new.get("spec"), old.get("spec")):
            return []
        return [invalid("spec", go_struct(definition, new.get("spec") or {}), names.IMMUTABLE)]

    return check


# -- PersistentVolume ------------------------------------------------------------------------------------------------------


def validate_persistent_volume(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    get = spec.get
    modes = get("accessModes") or []
    if not modes:
        found.append(required("spec.accessModes"))
    check_access_modes(modes, "spec.accessModes", found)
    capacity = get("capacity") or {}
    if not capacity:
        found.append(required("spec.capacity"))
    if list(capacity) != ["storage"]:
        found.append(not_supported("spec.capacity", capacity or None, ("storage",)))
    for name, amount in capacity.items():
        value = parse(amount)
        if value is not None and value.nano <= 0:
            found.append(invalid(f"spec.capacity[{name}]", str(value), NOT_POSITIVE))
    policy = get("persistentVolumeReclaimPolicy")
    if policy and policy not in ("Delete", "Recycle", "Retain"):
        allowed = ("Delete", "Recycle", "Retain")
        found.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, allowed))
    affinity = get("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            found.append(required("spec.nodeAffinity.required", "must specify required node constraints"))
        else:
            check_node_selector(affinity["required"], "spec.nodeAffinity.required", found)
    _check_volume_source(spec, found)
    path = (get("hostPath") or {}).get("path") or ""
    if path and posixpath.normpath(path) in ("/", "//") and policy == "Recycle":
        text = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(forbidden("spec.persistentVolumeReclaimPolicy", text))
    if get("storageClassName"):
        check_name(spec["storageClassName"], "spec.storageClassName", found)
    mode = get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        found.append(not_supported("spec.volumeMode", mode, VOLUME_MODES))
    name = get("volumeAttributesClassName")
    if name is not None:
        if not name:
            found.append(required("spec.volumeAttributesClassName", "an empty string is disallowed"))
        else:
            check_name(name, "spec.volumeAttributesClassName", found)
        if get("csi") is None:
            found.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
    return found


def _check_volume_source(spec: Object, found: Found) -> None:
    given = [kind for kind in VOLUME_SOURCES if spec.get(kind) is not None]
    if not given:
        found.append(required("spec", "must specify a volume type"))
        return
    kind, source = given[0], spec[given[0]]
    if kind in _CHECKED:
        _CHECKED[kind](source, f"spec.{kind}", found)
    elif kind == "csi":
        check_driver_name(source.get("driver"), "spec.csi.driver", found)
        if not source.get("volumeHandle"):
            found.append(required("spec.csi.volumeHandle"))
        check_csi_secrets(source, "spec.csi", found)
    elif kind == "local":
        if not source.get("path"):
            found.append(required("spec.local.path"))
        if ((spec.get("nodeAffinity") or {}).get("required")) is None:
            found.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    for kind in given[1:]:
        if kind == "flexVolume":  # as in Kubernetes, which never looks whether there are others
            continue
        shown = "cephFS" if kind == "cephfs" else kind
        found.append(forbidden(f"spec.{shown}", "may not specify more than 1 volume type"))


def validate_persistent_volume_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    source, source_before = ({kind: holder.get(kind) for kind in VOLUME_SOURCES} for holder in (spec, was))
    csi, csi_before = source.get("csi"), source_before.get("csi")
    if csi and csi_before and not csi_before.get("controllerExpandSecretRef"):
        source["csi"] = {key: value for key, value in csi.items() if key != "controllerExpandSecretRef"}
    if not same(source, source_before):
        text = "spec.persistentvolumesource is immutable after creation"
        found.append(forbidden("spec.persistentvolumesource", text))
    check_immutable(spec.get("volumeMode"), was.get("volumeMode"), "volumeMode", found)
    if was.get("nodeAffinity") is not None:
        check_immutable(spec.get("nodeAffinity"), was.get("nodeAffinity"), "nodeAffinity", found)
    if was.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        text = "update from non-nil value to nil is forbidden"
        found.append(forbidden("spec.volumeAttributesClassName", text))
    return found


# -- PersistentVolumeClaim -------------------------------------------------------------------------------------------------


def validate_claim(obj: Object) -> Found:
    found: Found = []
    check_claim_spec(obj.get("spec") or {}, "spec", found)
    return found


def validate_claim_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = dict(new.get("spec") or {}), dict(old.get("spec") or {})
    size, size_before = _requested(spec), _requested(was)
    class_name, class_before = spec.get("volumeAttributesClassName"), was.get("volumeAttributesClassName")
    mode, mode_before = spec.get("volumeMode"), was.get("volumeMode")
    if not was.get("volumeName"):
        spec.pop("volumeName", None)
        was.pop("volumeName", None)
    if (new.get("status") or {}).get("phase") == "Bound":
        for holder in (spec, was):
            holder.pop("volumeAttributesClassName", None)
            resources = dict(holder.get("resources") or {})
            resources["requests"] = {k: v for k, v in (resources.get("requests") or {}).items() if k != "storage"}
            holder["resources"] = resources
    if was.get("storageClassName") is None:
        spec.pop("storageClassName", None)  # a default class may be filled in later
    if not same(spec, was):
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        found.append(forbidden("spec", text))
    if size < size_before:
        have = parse(((old.get("status") or {}).get("capacity") or {}).get("storage") or "0")
        if have is not None and size <= have:
            text = "field can not be less than status.capacity"
            found.append(forbidden("spec.resources.requests.storage", text))
    check_immutable(mode, mode_before, "volumeMode", found)
    current = (old.get("status") or {}).get("currentVolumeAttributesClassName")
    if class_name != class_before and current is not None and not class_name:
        what = "nil" if class_name is None else "empty string"
        text = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        found.append(forbidden("spec.volumeAttributesClassName", text))
    return found


def _requested(spec: Object) -> Any:
    amount = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    return parse("0" if amount is None else amount) or parse("0")


# -- classes, drivers, attachments -----------------------------------------------------------------------------------------


def _check_provisioner(value: str, path: str, found: Found) -> None:
    if not value:
        found.append(required(path))
    else:
        check_label_key(value.lower(), path, found)


def _check_parameters(parameters: dict[str, str], path: str, found: Found) -> None:
    if len(parameters) > 512:
        found.append(FieldError.too_long(path, 512))
        return
    if "" in parameters:
        found.append(invalid(path, "", "field can not be empty."))
    if sum(len(key) + len(value or "") for key, value in parameters.items()) > 256 * 1024:
        found.append(FieldError.too_long(path, 256 * 1024))


def validate_storage_class(obj: Object) -> Found:
    found: Found = []
    _check_provisioner(obj.get("provisioner") or "", "provisioner", found)
    _check_parameters(obj.get("parameters") or {}, "parameters", found)
    policy, binding = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if policy and policy not in ("Delete", "Retain"):
        found.append(not_supported("reclaimPolicy", policy, ("Delete", "Retain")))
    if binding is None:
        found.append(required("volumeBindingMode"))
    elif binding not in ("Immediate", "WaitForFirstConsumer"):
        found.append(not_supported("volumeBindingMode", binding, ("Immediate", "WaitForFirstConsumer")))
    terms = obj.get("allowedTopologies") or []
    seen_terms: Counter[frozenset[tuple[str, frozenset[str]]]] = Counter()
    for i, term in enumerate(terms):
        path = f"allowedTopologies[{i}]"
        expressions = term.get("matchLabelExpressions") or []
        seen: set[str] = set()
        for j, expression in enumerate(expressions):
            where = f"{path}.matchLabelExpressions[{j}]"
            values, key = expression.get("values") or [], expression.get("key") or ""
            if not values:
                found.append(required(f"{where}.values"))
            for k, (value, again) in enumerate(zip(values, repeats(values), strict=True)):
                if again:
                    found.append(duplicate(f"{where}.values[{k}]", value))
            check_label_key(key, f"{where}.key", found)
            if key in seen:
                found.append(duplicate(f"{where}.key", key))
            seen.add(key)
        topology = _topology(term)
        # Kubernetes compares with as many empty terms as there are, too
        same_terms = seen_terms[topology] + (0 if topology else len(terms))
        found.extend([duplicate(f"{path}.matchLabelExpressions", "")] * min(same_terms, MOST_ALIKE))
        seen_terms[topology] += 1
    return found


def _topology(term: Object) -> frozenset[tuple[str, frozenset[str]]]:
    expressions = term.get("matchLabelExpressions") or ()
    return frozenset({e.get("key") or "": frozenset(e.get("values") or ()) for e in expressions}.items())


def validate_storage_class_update(new: Object, old: Object) -> Found:
    found: Found = []
    check_immutable(new.get("parameters"), old.get("parameters"), "parameters", found)
    check_immutable_text(new.get("provisioner"), old.get("provisioner"), "provisioner", found)
    for field in ("reclaimPolicy", "volumeBindingMode"):
        check_immutable(new.get(field), old.get(field), field, found)
    return found


def validate_volume_attributes_class(obj: Object) -> Found:
    found: Found = []
    parameters = obj.get("parameters") or {}
    _check_provisioner(obj.get("driverName") or "", "driverName", found)
    _check_parameters(parameters, "parameters", found)
    if not parameters:
        found.append(required("parameters", "must contain at least one key/value pair"))
    return found


def validate_volume_attributes_class_update(new: Object, old: Object) -> Found:
    return [
        forbidden(field, f"updates to {field} are forbidden.")
        for field in ("driverName", "parameters")
        if (new.get(field) or None) != (old.get(field) or None)
    ]


def validate_csi_driver(obj: Object) -> Found:
    found: Found = []
    name = (obj.get("metadata") or {}).get("name")
    if name and len(name) > 63:
        found.append(FieldError.too_long("metadata.name", 63))
    spec = obj.get("spec") or {}
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in ("File", "None", "ReadWriteOnceWithFSType"):
        allowed = ("File", "None", "ReadWriteOnceWithFSType")
        found.append(not_supported("spec.fsGroupPolicy", policy, allowed))
    seen: set[str] = set()
    requests = spec.get("tokenRequests") or ()
    for i, request in enumerate(requests):
        audience, seconds = request.get("audience") or "", request.get("expirationSeconds")
        if audience in seen:
            found.append(duplicate(f"spec.tokenRequests[{i}].audience", audience))
            continue
        seen.add(audience)
        at = f"spec.tokenRequests[{i}].expirationSeconds"
        if seconds is not None and seconds < 600:
            found.append(invalid(at, seconds, "may not specify a duration less than 10 minutes"))
        if seconds is not None and seconds > 2**32:
            found.append(invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"))
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in ("Ephemeral", "Persistent"):
            found.append(not_supported("spec.volumeLifecycleModes", mode, ("Persistent", "Ephemeral")))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < 10:
        text = "must be greater than or equal to 10 seconds"
        found.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, text))
    secrets = spec.get("serviceAccountTokenInSecrets")
    if secrets is not None and not requests:
        text = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        found.append(invalid("spec.serviceAccountTokenInSecrets", secrets, text))
    return found


def validate_csi_driver_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    check_immutable(spec.get("attachRequired"), was.get("attachRequired"), "spec.attachedRequired", found)
    modes, before = spec.get("volumeLifecycleModes"), was.get("volumeLifecycleModes")
    check_immutable(modes, before, "spec.volumeLifecycleModes", found)
    return found


def validate_csi_storage_capacity(obj: Object) -> Found:
    found: Found = []
    check_label_selector(obj.get("nodeTopology"), "nodeTopology", found)
    check_name(obj.get("storageClassName") or "", "storageClassName", found)
    if obj.get("capacity") is not None:
        amount = parse(obj["capacity"])
        if amount is not None and amount.nano < 0:
            found.append(invalid("capacity", str(amount), names.NOT_NEGATIVE))
    return found


def validate_csi_storage_capacity_update(new: Object, old: Object) -> Found:
    found: Found = []
    for field in ("nodeTopology", "storageClassName"):
        check_immutable(new.get(field), old.get(field), field, found)
    return found


def validate_volume_attachment(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_driver_name(spec.get("attacher"), "spec.attacher", found)
    source = spec.get("source") or {}
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if inline is None and name is None:
        found.append(required("spec.source", text))
    elif inline is not None and name is not None:
        found.append(forbidden("spec.source", text))
    elif name is not None and not name:
        at = "spec.source.persistentVolumeName"
        found.append(required(at, "must specify non empty persistentVolumeName"))
    check_name(spec.get("nodeName") or "", "spec.nodeName", found)
    if inline is not None and name is None:
        check_inline_volume(inline, "spec.source.inlineVolumeSpec", found)
    if name is not None:
        check_name(name, "spec.source.persistentVolumeName", found)
    return found


validate_volume_attachment_update = spec_immutable("api.storage.v1.VolumeAttachmentSpec")
