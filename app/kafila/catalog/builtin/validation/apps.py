"""Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController and ControllerRevision."""

from __future__ import annotations

from typing import Any

from kafila.core import names
from kafila.core.values import Object

from .claims import check_claim_spec
from .common import (
    Found,
    check_at_most_100_percent,
    check_immutable,
    check_int_or_percent,
    check_label_selector,
    check_name,
    check_not_negative,
    forbidden,
    int_or_percent,
    invalid,
    is_empty_selector,
    not_supported,
    required,
    same,
    selector_matches,
)
from .gostructs import go_struct
from .pod import check_template, check_template_labels

NO_MATCH = "`selector` does not match template `labels`"
_STATEFUL_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def template_labels(template: Object) -> dict[str, str]:
    return (template.get("metadata") or {}).get("labels") or {}


def _check_selector(spec: Object, kind: str, found: Found) -> bool:
    """Whether the selector can be used to match."""
    selector = spec.get("selector")
    if selector is None:
        found.append(required("spec.selector"))
        return True
    before = len(found)
    check_label_selector(selector, "spec.selector", found)
    sound = len(found) == before
    if is_empty_selector(selector):
        found.append(invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    return sound


def _check_template(spec: Object, kind: str, found: Found, template: Object | None = None) -> None:
    """The template of pods that are always restarted, with labels that the selector finds."""
    template = spec.get("template") or {} if template is None else template
    selector = spec.get("selector")
    labels = template_labels(template)
    if (selector is None or not is_empty_selector(selector)) and not selector_matches(selector, labels):
        found.append(invalid("spec.template.metadata.labels", dict(sorted(labels.items())) or None, NO_MATCH))
    if kind == "StatefulSet":  # whose template Kubernetes validates twice
        check_template_labels(template, "spec.template", found)
    check_template(template, "spec.template", found)
    _check_lasting(template, kind, found)


def _check_lasting(template: Object, kind: str, found: Found) -> None:
    pod = template.get("spec") or {}
    if pod.get("restartPolicy") != "Always":
        path = "spec.template.spec.restartPolicy"
        found.append(not_supported(path, pod.get("restartPolicy") or "", ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        found.append(forbidden("spec.template.spec.activeDeadlineSeconds", text))


# -- Deployment ------------------------------------------------------------------------------------------------------------


def validate_deployment(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_not_negative(spec, "replicas", "spec", found)
    if _check_selector(spec, "deployment", found):
        _check_template(spec, "ReplicaSet", found)
    else:
        found.append(invalid("spec.selector", spec.get("selector"), "invalid label selector"))
    _check_deployment_strategy(spec.get("strategy") or {}, "spec.strategy", found)
    check_not_negative(spec, "minReadySeconds", "spec", found)
    check_not_negative(spec, "revisionHistoryLimit", "spec", found)
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        check_not_negative(spec, "progressDeadlineSeconds", "spec", found)
        if deadline <= (spec.get("minReadySeconds") or 0):
            text = "must be greater than minReadySeconds"
            found.append(invalid("spec.progressDeadlineSeconds", deadline, text))
    _check_status(obj, ("updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"), found)
    return found


def _check_deployment_strategy(strategy: Object, path: str, found: Found) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            text = "may not be specified when strategy `type` is 'Recreate'"
            found.append(forbidden(f"{path}.rollingUpdate", text))
    elif kind == "RollingUpdate":
        if rolling is None:
            found.append(required(f"{path}.rollingUpdate", "this should be defaulted and never be nil"))
            return
        at = f"{path}.rollingUpdate.maxUnavailable"
        unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        check_int_or_percent(unavailable, at, found)
        check_int_or_percent(surge, f"{path}.rollingUpdate.maxSurge", found)
        if int_or_percent(unavailable) == 0 and int_or_percent(surge) == 0:
            found.append(invalid(at, unavailable, "may not be 0 when `maxSurge` is 0"))
        check_at_most_100_percent(unavailable, at, found)
    else:
        found.append(not_supported(path, _go_strategy(strategy), ("Recreate", "RollingUpdate")))


def _go_strategy(strategy: Object) -> Object:
    """As Go prints the internal struct, whose fields have no JSON names."""
    rolling = strategy.get("rollingUpdate")
    if rolling is not None:
        rolling = {"MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0)}
    return {"Type": strategy.get("type") or "", "RollingUpdate": rolling}


def validate_deployment_update(new: Object, old: Object) -> Found:
    found: Found = []
    check_immutable(
        (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector"), "spec.selector", found
    )
    _check_collisions(new, old, found)
    return found


def _check_status(obj: Object, counts: tuple[str, ...], found: Found) -> None:
    status = obj.get("status")
    if not status:
        return
    check_not_negative(status, "observedGeneration", "status", found)
    check_not_negative(status, "replicas", "status", found)
    total = status.get("replicas") or 0
    for field in counts:
        value = status.get(field)
        if value:
            check_not_negative(status, field, "status", found)
            if value > total and field != "unavailableReplicas":
                found.append(invalid(f"status.{field}", value, "cannot be greater than status.replicas"))
    check_not_negative(status, "collisionCount", "status", found)
    available, ready = status.get("availableReplicas") or 0, status.get("readyReplicas") or 0
    if "availableReplicas" in counts and available > ready:
        found.append(invalid("status.availableReplicas", available, "cannot be greater than readyReplicas"))


def _check_collisions(new: Object, old: Object, found: Found) -> None:
    before = (old.get("status") or {}).get("collisionCount")
    if before is not None:
        now = (new.get("status") or {}).get("collisionCount") or 0
        if now < before:
            found.append(invalid("status.collisionCount", now, "cannot be decremented"))


# -- ReplicaSet, ReplicationController -------------------------------------------------------------------------------------


def validate_replica_set(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_not_negative(spec, "replicas", "spec", found)
    check_not_negative(spec, "minReadySeconds", "spec", found)
    if _check_selector(spec, "deployment", found):
        _check_template(spec, "ReplicaSet", found)
    else:
        found.append(invalid("spec.selector", spec.get("selector"), "invalid label selector"))
    _check_status(obj, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"), found)
    return found


def validate_replica_set_update(new: Object, old: Object) -> Found:
    found: Found = []
    check_immutable(
        (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector"), "spec.selector", found
    )
    return found


def validate_replication_controller(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_not_negative(spec, "minReadySeconds", "spec", found)
    selector, template = spec.get("selector"), spec.get("template")
    if not selector:
        found.append(required("spec.selector"))
    if spec.get("replicas") is None:
        found.append(required("spec.replicas"))
    else:
        check_not_negative(spec, "replicas", "spec", found)
    if template is None:
        found.append(required("spec.template"))
        return found
    labels = template_labels(template)
    if selector and any(labels.get(key) != value for key, value in selector.items()):
        found.append(invalid("spec.template.metadata.labels", dict(sorted(labels.items())) or None, NO_MATCH))
    check_template(template, "spec.template", found)
    _check_lasting(template, "ReplicationController", found)
    return found


# -- StatefulSet -----------------------------------------------------------------------------------------------------------


def validate_stateful_set(obj: Object) -> Found:
    return _check_stateful_set(obj, is_new=False)


def validate_new_stateful_set(obj: Object) -> Found:
    """Also what cannot change afterwards and may be wrong in objects from long ago."""
    return _check_stateful_set(obj, is_new=True)


def _check_stateful_set(obj: Object, *, is_new: bool) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    policy = spec.get("podManagementPolicy")
    if not policy:
        found.append(required("spec.podManagementPolicy"))
    elif policy not in ("OrderedReady", "Parallel"):
        found.append(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    _check_stateful_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy", found)
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention is not None:
        for field in ("whenDeleted", "whenScaled"):
            if retention.get(field) not in ("Retain", "Delete"):
                where = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
                found.append(not_supported(where, retention.get(field) or "", ("Retain", "Delete")))
    claims = spec.get("volumeClaimTemplates") or ()
    for i, claim in enumerate(claims if is_new else ()):
        check_claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{i}].spec", found)
    check_not_negative(spec, "replicas", "spec", found)
    check_not_negative(spec, "minReadySeconds", "spec", found)
    ordinals = spec.get("ordinals")
    if ordinals:
        check_not_negative(ordinals, "start", "spec.ordinals", found)
    if is_new and spec.get("serviceName"):
        check_name(spec["serviceName"], "spec.serviceName", found, names.dns1123_label)
    if _check_selector(spec, "statefulset", found):
        _check_template(spec, "StatefulSet", found, _with_claims(spec.get("template") or {}, claims))
    else:
        found.append(invalid("spec.selector", spec.get("selector"), ""))
        _check_lasting(spec.get("template") or {}, "StatefulSet", found)
    _check_status(obj, ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"), found)
    return found


def _with_claims(template: Object, claims: Any) -> Object:
    """The template as its pods will be: with a volume per claim, hostname and subdomain set by the controller."""
    pod = template.get("spec") or {}
    if not claims and not pod.get("hostname") and not pod.get("subdomain"):
        return template
    pod = {key: value for key, value in pod.items() if key not in ("hostname", "subdomain")}
    if claims:
        made = {}
        for claim in claims:
            name = (claim.get("metadata") or {}).get("name") or ""
            made[name] = {"name": name, "persistentVolumeClaim": {"claimName": name}}
        kept = [volume for volume in pod.get("volumes") or () if volume.get("name") not in made]
        pod["volumes"] = [*made.values(), *kept]
    return {**template, "spec": pod}


def _check_stateful_strategy(strategy: Object, path: str, found: Found) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        found.append(required(path))
    elif kind == "OnDelete":
        if rolling is not None:
            text = "only allowed for updateStrategy 'RollingUpdate'"
            found.append(invalid(f"{path}.rollingUpdate", rolling, text))
    elif kind == "RollingUpdate":
        if rolling is not None:
            check_not_negative(rolling, "partition", f"{path}.rollingUpdate", found)
    else:
        found.append(
            invalid(
                path,
                go_struct("api.apps.v1.StatefulSetUpdateStrategy", strategy),
                "must be 'RollingUpdate' or 'OnDelete'",
            )
        )


def validate_stateful_set_update(new: Object, old: Object) -> Found:
    found: Found = []
    fixed = [
        {key: value for key, value in (obj.get("spec") or {}).items() if key not in _STATEFUL_MUTABLE}
        for obj in (new, old)
    ]
    if not same(*fixed):
        found.append(forbidden("spec", _STATEFUL_FIXED))
    _check_collisions(new, old, found)
    return found


# -- DaemonSet -------------------------------------------------------------------------------------------------------------


def validate_daemon_set(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    selector = spec.get("selector")
    before = len(found)
    check_label_selector(selector, "spec.selector", found)
    template = spec.get("template") or {}
    labels = template_labels(template)
    if len(found) == before and not selector_matches(selector, labels):
        found.append(invalid("spec.template.metadata.labels", dict(sorted(labels.items())) or None, NO_MATCH))
    if selector is not None and is_empty_selector(selector):
        found.append(invalid("spec.selector", selector, "empty selector is invalid for daemonset"))
    check_template(template, "spec.template", found)
    _check_lasting(template, "DaemonSet", found)
    check_not_negative(spec, "minReadySeconds", "spec", found)
    _check_daemon_strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy", found)
    check_not_negative(spec, "revisionHistoryLimit", "spec", found)
    return found


def _check_daemon_strategy(strategy: Object, path: str, found: Found) -> None:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        found.append(not_supported(path, _go_strategy(strategy), ("RollingUpdate", "OnDelete")))
        return
    if rolling is None:
        found.append(required(f"{path}.rollingUpdate"))
        return
    path = f"{path}.rollingUpdate"
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for check in (check_int_or_percent, check_at_most_100_percent):
        check(unavailable, f"{path}.maxUnavailable", found)
        check(surge, f"{path}.maxSurge", found)
    if int_or_percent(unavailable) and int_or_percent(surge):
        found.append(invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif not int_or_percent(unavailable) and not int_or_percent(surge):
        found.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def validate_changed_daemon_set(new: Object, old: Object) -> Found:
    found: Found = []
    check_immutable(
        (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector"), "spec.selector", found
    )
    return found + validate_daemon_set(new)


# -- ControllerRevision ----------------------------------------------------------------------------------------------------


def validate_controller_revision(obj: Object) -> Found:
    found: Found = []
    if (obj.get("revision") or 0) < 0:
        found.append(invalid("revision", obj["revision"], names.NOT_NEGATIVE))
    return found


def validate_new_controller_revision(obj: Object) -> Found:
    found: Found = []
    data = obj.get("data")
    if data is None:
        found.append(required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        found.append(required("data", "data must be a valid JSON object"))
    return found


def validate_controller_revision_update(new: Object, old: Object) -> Found:
    found: Found = []
    check_immutable(new.get("data"), old.get("data"), "data", found)
    return found
