"""What may change of a pod that exists."""

from __future__ import annotations

from collections.abc import Hashable

from kafila.core import names
from kafila.core.values import Object, json_key

from .common import MAX_INT32, Found, forbidden, invalid, required, same

_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    if spec == was or same(spec, was):
        return found
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(was.get(field) or ()):
            found.append(forbidden(f"spec.{field}", "pod updates may not add or remove containers"))
            return found
        for i, container in enumerate(spec.get(field) or ()):
            if not container.get("image"):
                found.append(required(f"spec.{field}[{i}].image"))
    if not _check_deadline(spec.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds"), found):
        return found
    _check_tolerations_only_added(spec.get("tolerations") or [], was.get("tolerations") or [], found)
    _check_gates_only_removed(spec.get("schedulingGates") or [], was.get("schedulingGates") or [], found)
    if not same(_fixed_part(spec, was), was):
        found.append(forbidden("spec", f"pod updates may not change fields other than {_UPDATABLE}"))
    return found


def _check_deadline(new: int | None, old: int | None, found: Found) -> bool:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            found.append(invalid(path, None, "must not update from a positive integer to nil value"))
        return True
    if not 0 <= new <= MAX_INT32:
        found.append(invalid(path, new, names.in_range(0, MAX_INT32)))
        return False
    if old is not None and old < new:
        found.append(invalid(path, new, "must be less than or equal to previous value"))
        return False
    return True


def _check_tolerations_only_added(new: list[Object], old: list[Object], found: Found) -> None:
    kept = {_without_seconds(toleration) for toleration in new}
    if any(_without_seconds(toleration) not in kept for toleration in old):
        text = "existing toleration can not be modified except its tolerationSeconds"
        found.append(forbidden("spec.tolerations", text))


def _without_seconds(toleration: Object) -> Hashable:
    return json_key({key: value for key, value in toleration.items() if key != "tolerationSeconds"})


def _check_gates_only_removed(new: list[Object], old: list[Object], found: Found) -> None:
    had = {gate.get("name") for gate in old}
    for i, gate in enumerate(new):
        if gate.get("name") not in had:
            text = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            found.append(forbidden(f"spec.schedulingGates[{i}].name", text))


def _fixed_part(spec: Object, was: Object) -> Object:
    """``spec`` with everything that may change taken from ``was``."""
    out = dict(spec)
    for field in ("containers", "initContainers"):
        if spec.get(field):
            pairs = zip(spec[field], was[field], strict=True)
            out[field] = [{**container, "image": before.get("image")} for container, before in pairs]
    for field in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        out[field] = was.get(field)
    if (was.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        out["terminationGracePeriodSeconds"] = was["terminationGracePeriodSeconds"]
    if was.get("schedulingGates"):  # where a gated pod goes may still change
        for field in ("nodeSelector", "affinity"):
            out[field] = was.get(field)
    return out
