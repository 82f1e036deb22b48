"""ConfigMap, Secret, Namespace, Lease and Event."""

from __future__ import annotations

import base64
import binascii
import json

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    Found,
    check_finalizer,
    check_immutable,
    check_immutable_text,
    check_label_key,
    forbidden,
    invalid,
    required,
)

MAX_SIZE = 1024 * 1024
_LOCKED = "field is immutable when `immutable` is set"
_OWN_NAMESPACE = "does not match event.namespace"
_STRATEGIES = ("OldestEmulationVersion",)


def _decoded_size(text: str) -> int:
    """Bytes that base64 text stands for."""
    return len(text) * 3 // 4 - text[-2:].count("=") if text else 0


def validate_config_map(obj: Object) -> Found:
    found: Found = []
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    total = 0
    for key, value in data.items():
        for why in names.config_key(key):
            found.append(invalid(f"data[{key}]", key, why))
        if key in binary:
            found.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        total += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    for key, value in binary.items():
        for why in names.config_key(key):
            found.append(invalid(f"binaryData[{key}]", key, why))
        total += _decoded_size(value or "")
    if total > MAX_SIZE:
        found.append(FieldError.too_long("[]", MAX_SIZE))
    return found


def validate_config_map_update(new: Object, old: Object) -> Found:
    return _check_locked(new, old, ("data", "binaryData"))


def _check_locked(new: Object, old: Object, fields: tuple[str, ...]) -> Found:
    found: Found = []
    if old.get("immutable"):
        if not new.get("immutable"):
            found.append(forbidden("immutable", _LOCKED))
        for field in fields:
            if (new.get(field) or {}) != (old.get(field) or {}):
                found.append(forbidden(field, _LOCKED))
    return found


_NEEDED_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}


def validate_secret(obj: Object) -> Found:
    found: Found = []
    data, kind = obj.get("data") or {}, obj.get("type") or ""
    total = 0
    for key, value in data.items():
        for why in names.config_key(key):
            found.append(invalid(f"data[{key}]", key, why))
        total += _decoded_size(value or "")
    if total > MAX_SIZE:
        found.append(FieldError.too_long("data", MAX_SIZE))
    if kind == "kubernetes.io/service-account-token":
        annotations = (obj.get("metadata") or {}).get("annotations") or {}
        if not annotations.get("kubernetes.io/service-account.name"):
            found.append(required("metadata.annotations[kubernetes.io/service-account.name]"))
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            found.append(required("data[username]"))
            found.append(required("data[password]"))
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            found.append(required("data[ssh-privatekey]"))
    else:
        for key in _NEEDED_KEYS.get(kind, ()):
            if key not in data:
                found.append(required(f"data[{key}]"))
            elif key.startswith("."):
                _check_json_object(data[key] or "", f"data[{key}]", found)
    return found


def _check_json_object(text: str, path: str, found: Found) -> None:
    redacted = "<secret contents redacted>"
    try:
        value = json.loads(base64.b64decode(text))
    except (ValueError, binascii.Error, RecursionError):
        raw = _bytes_or_nothing(text)
        why = "unexpected end of JSON input"
        if raw:
            why = f"invalid character '{raw[:1].decode('latin-1')}' looking for beginning of value"
        found.append(invalid(path, redacted, why))
        return
    if value is not None and not isinstance(value, dict):
        kinds = {list: "array", str: "string", bool: "bool"}
        kind = kinds.get(type(value), "number")
        text = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        found.append(invalid(path, redacted, text))


def _bytes_or_nothing(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (ValueError, binascii.Error):
        return b""


def validate_secret_update(new: Object, old: Object) -> Found:
    found: Found = []
    check_immutable_text(new.get("type"), old.get("type"), "type", found)
    found.extend(_check_locked(new, old, ("data",)))
    return found


def validate_namespace(obj: Object) -> Found:
    found: Found = []
    for name in (obj.get("spec") or {}).get("finalizers") or ():
        for why in names.qualified_name(name):
            found.append(invalid("spec.finalizers", name, why))
        check_finalizer(name, "spec.finalizers", found)
    return found


def validate_lease(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        found.append(invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        found.append(invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    strategy = spec.get("strategy")
    if strategy is not None and "/" not in strategy and strategy not in _STRATEGIES:
        found.append(FieldError.not_supported("spec.strategy", strategy, _STRATEGIES))
    elif strategy and "/" in strategy:
        for why in names.qualified_name(strategy):
            found.append(invalid("spec.strategy", strategy, why))
    if spec.get("preferredHolder") and not strategy:
        found.append(forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined"))
    return found


# -- Event -----------------------------------------------------------------------------------------------------------------


def validate_event(obj: Object) -> Found:
    found: Found = []
    _check_event(obj, "involvedObject", "reportingComponent", obj.get("message") or "", found)
    return found


def _check_event(obj: Object, regarding: str, reporter: str, message: str, found: Found) -> None:
    namespace = (obj.get("metadata") or {}).get("namespace") or ""
    own = (obj.get(regarding) or {}).get("namespace") or ""
    if obj.get("eventTime") is None:
        if own != namespace and (own or namespace not in ("", "default")):
            found.append(invalid("involvedObject.namespace", own, _OWN_NAMESPACE))
        return
    if not own and namespace not in ("default", "kube-system"):
        found.append(invalid("involvedObject.namespace", own, _OWN_NAMESPACE))
    controller = obj.get(reporter) or ""
    if not controller:
        found.append(required(reporter))
    check_label_key(controller, reporter, found)
    for field, limit in (("reportingInstance", 128), ("action", 128), ("reason", 128)):
        value = obj.get(field) or ""
        if not value:
            found.append(required(field))
        if len(value) > limit:
            found.append(invalid(field, "", f"can have at most {limit} characters"))
    if len(message) > 1024:
        found.append(invalid("message", "", "can have at most 1024 characters"))


def validate_new_event(obj: Object) -> Found:
    """events.k8s.io/v1: what the old form also had must be unset."""
    found: Found = []
    _check_event(obj, "regarding", "reportingController", obj.get("note") or "", found)
    return found


def validate_created_event(obj: Object) -> Found:
    found: Found = []
    _check_series(obj, found)
    if obj.get("eventTime") is None:
        found.append(required("eventTime"))
    kind = obj.get("type") or ""
    if kind not in ("Normal", "Warning"):
        found.append(invalid("type", "", f"has invalid value: {kind}"))
    for field, shown in _OLD_FIELDS:
        value = obj.get(field)
        if value and (field != "deprecatedSource" or value.get("component") or value.get("host")):
            found.append(invalid(shown, "", "needs to be unset"))
    return found


_OLD_FIELDS = (
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("deprecatedSource", "source"),
)
_FIXED = (
    ("regarding", "involvedObject"),
    ("reason", "reason"),
    ("note", "message"),
    *_OLD_FIELDS,
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
)


def _check_series(obj: Object, found: Found) -> None:
    series = obj.get("series")
    if series is not None:
        if (series.get("count") or 0) < 2:
            found.append(invalid("series.count", "", "should be at least 2"))
        if series.get("lastObservedTime") is None:
            found.append(required("series.lastObservedTime"))


def validate_new_event_update(new: Object, old: Object) -> Found:
    found: Found = []
    if new.get("series") != old.get("series"):
        _check_series(new, found)
    for field, shown in _FIXED:
        one, other = new.get(field), old.get(field)
        check = check_immutable_text if isinstance(one or other, str) and "Time" not in field else check_immutable
        check(one, other, shown, found)
        if field == "reason":  # which Kubernetes asks twice
            check(one, other, shown, found)
    return found
