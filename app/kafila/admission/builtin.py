"""Kubernetes' own admission plugins that change or refuse built-in objects: those that at most read other objects.

Priority, DefaultTolerationSeconds, RuntimeClass, TaintNodesByCondition, DefaultStorageClass, DefaultIngressClass,
CertificateSubjectRestriction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from kafila.catalog.builtin.validation.certificates import organizations_of
from kafila.catalog.kind import Kind
from kafila.core import errors, quantity
from kafila.core.values import Object

# resource -> all objects of it
Objects = Callable[[str], Iterable[Object]]

TOLERATION_SECONDS: Final = 300
_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_STORAGE_DEFAULTS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_ADMIN_ACCESS: Final = "resource.kubernetes.io/admin-access"
_CLIENTS: Final = "kubernetes.io/kube-apiserver-client"  # the signer of certificates that this API server believes
_MASTERS: Final = "system:masters"
_INGRESS_DEFAULT: Final = "ingressclass.kubernetes.io/is-default-class"


def nothing(resource: str) -> Iterable[Object]:
    return ()


def mutate(kind: Kind, operation: str, new: Object, old: Object | None, objects: Objects) -> None:
    """Changes ``new`` in place. Raises StatusError 403."""
    rule = _MUTATORS.get(kind.resource)
    if rule is not None and isinstance(new.get("spec", {}), dict):
        rule(kind, new, old, objects)


def admit(kind: Kind, operation: str, new: Object | None, old: Object | None, objects: Objects) -> None:
    """Raises StatusError 403."""
    if new is not None and kind.resource in _ADMITTERS:
        _ADMITTERS[kind.resource](kind, new, old, objects)
    if new is None or kind.resource != "priorityclasses.scheduling.k8s.io" or not new.get("globalDefault"):
        return
    other = _default_priority_class(objects)
    if other is not None and (operation == "CREATE" or other["metadata"]["name"] != new["metadata"].get("name")):
        name = other["metadata"]["name"]
        text = f"PriorityClass {name} is already marked as default. Only one default can exist"
        raise _forbidden(kind, new, text)


def _forbidden(kind: Kind, obj: Object, text: str) -> errors.StatusError:
    metadata = obj["metadata"]
    return errors.forbidden(kind.group, kind.plural, metadata.get("name") or metadata.get("generateName") or "", text)


def _named(objects: Objects, resource: str, name: str) -> Object | None:
    return next((obj for obj in objects(resource) if obj["metadata"]["name"] == name), None)


# -- pods ------------------------------------------------------------------------------------------------------------------


def _pod(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    spec = new.setdefault("spec", {})
    if old is None:
        _prioritize(kind, new, spec, objects)
        _run_as_class(kind, new, spec, objects)
    else:
        was = old.get("spec") or {}
        for field in ("priority", "preemptionPolicy"):
            if spec.get(field) is None and was.get(field) is not None:
                spec[field] = was[field]
    _tolerate(spec)


def _tolerate(spec: Object) -> None:
    tolerations = spec.get("tolerations") or []
    missing = [taint for taint in _TAINTS if not any(_covers(toleration, taint) for toleration in tolerations)]
    if missing:
        spec["tolerations"] = [
            *tolerations,
            *(
                {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}
                for taint in missing
            ),
        ]


def _covers(toleration: Object, taint: str) -> bool:
    return toleration.get("key") in (taint, "", None) and toleration.get("effect") in ("NoExecute", "", None)


def _default_priority_class(objects: Objects) -> Object | None:
    defaults = [obj for obj in objects("priorityclasses.scheduling.k8s.io") if obj.get("globalDefault")]
    return min(defaults, key=lambda obj: obj["value"], default=None)


def _prioritize(kind: Kind, pod: Object, spec: Object, objects: Objects) -> None:
    name = spec.get("priorityClassName") or ""
    found = _named(objects, "priorityclasses.scheduling.k8s.io", name) if name else _default_priority_class(objects)
    if found is None and name:
        raise _forbidden(kind, pod, f"no PriorityClass with name {name} was found")
    if found is not None:
        spec["priorityClassName"] = found["metadata"]["name"]
    given = (found or {}).get("value", 0), (found or {}).get("preemptionPolicy", "PreemptLowerPriority")
    for field, value, what in zip(
        ("priority", "preemptionPolicy"),
        given,
        ("the integer value of priority", "the string value of PreemptionPolicy"),
        strict=True,
    ):
        if spec.get(field) not in (None, value):
            text = (
                f"{what} ({spec[field]}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
            raise _forbidden(kind, pod, text)
        spec[field] = value


def _run_as_class(kind: Kind, pod: Object, spec: Object, objects: Objects) -> None:
    name = spec.get("runtimeClassName")
    found = None
    if name is not None:
        found = _named(objects, "runtimeclasses.node.k8s.io", name)
        if found is None:
            raise _forbidden(kind, pod, f'pod rejected: RuntimeClass "{name}" not found')
    overhead = ((found or {}).get("overhead") or {}).get("podFixed")
    if spec.get("overhead") and overhead is not None and spec["overhead"] != overhead:
        text = "Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        raise _forbidden(kind, pod, f"pod rejected: {text}")
    if overhead:
        spec["overhead"] = overhead
    scheduling = (found or {}).get("scheduling") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        selector = spec.setdefault("nodeSelector", {})
        if selector.setdefault(key, value) != value:
            text = (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
            raise _forbidden(kind, pod, text)
    more = [t for t in scheduling.get("tolerations") or () if t not in (spec.get("tolerations") or ())]
    if more:
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *more]


# -- others ----------------------------------------------------------------------------------------------------------------


def _node(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    """A node is not ready until its kubelet says so."""
    if old is not None:
        return
    spec = new.setdefault("spec", {})
    taints = spec.get("taints") or []
    if not any(taint.get("key") == _TAINTS[0] and taint.get("effect") == "NoSchedule" for taint in taints):
        spec["taints"] = [*taints, {"key": _TAINTS[0], "effect": "NoSchedule"}]


def _annotated(objects: Iterable[Object], annotations: tuple[str, ...]) -> str | None:
    """The newest object that an annotation makes the default; by name among those of one second."""
    found = [
        obj
        for obj in objects
        if any((obj["metadata"].get("annotations") or {}).get(name) == "true" for name in annotations)
    ]
    found.sort(key=lambda obj: obj["metadata"]["name"])
    found.sort(key=lambda obj: obj["metadata"].get("creationTimestamp") or "", reverse=True)
    return found[0]["metadata"]["name"] if found else None


def _claim(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    spec = new.setdefault("spec", {})
    annotations = new["metadata"].get("annotations") or {}
    if (
        old is None
        and spec.get("storageClassName") is None
        and "volume.beta.kubernetes.io/storage-class" not in annotations
    ):
        name = _annotated(objects("storageclasses.storage.k8s.io"), _STORAGE_DEFAULTS)
        if name is not None:
            spec["storageClassName"] = name


def _ingress(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    spec = new.setdefault("spec", {})
    annotations = new["metadata"].get("annotations") or {}
    if old is None and spec.get("ingressClassName") is None and "kubernetes.io/ingress.class" not in annotations:
        name = _annotated(objects("ingressclasses.networking.k8s.io"), (_INGRESS_DEFAULT,))
        if name is not None:
            spec["ingressClassName"] = name


def _overhead(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    spec = new.get("spec") or {}
    if old is None and spec.get("overhead"):
        found = _named(objects, "runtimeclasses.node.k8s.io", spec.get("runtimeClassName") or "")
        if not ((found or {}).get("overhead") or {}).get("podFixed"):
            text = "Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise _forbidden(kind, new, f"pod rejected: {text}")


def _expansion(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    """PersistentVolumeClaimResize: only what a class makes bigger can grow."""
    if old is None or _size(new) <= _size(old):
        return
    if (old.get("status") or {}).get("phase") != "Bound":
        raise _forbidden(kind, new, "Only bound persistent volume claims can be expanded")
    annotations = old["metadata"].get("annotations") or {}
    name = annotations.get(_CLASS) or (old.get("spec") or {}).get("storageClassName") or ""
    found = _named(objects, "storageclasses.storage.k8s.io", name) if name else None
    if not (found or {}).get("allowVolumeExpansion"):
        text = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
        raise _forbidden(kind, new, text)


def _size(claim: Object) -> quantity.Quantity:
    return quantity.of((((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage") or "0")


def _admin_access(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    """Devices that others use are given only in namespaces that are marked for it."""
    spec = new.get("spec") or {}
    requests = ((spec.get("spec") or spec).get("devices") or {}).get("requests") or ()
    asked = [i for i, r in enumerate(requests) if (r.get("exactly") or {}).get("adminAccess")]
    if old is not None or not asked:
        return
    namespace = _named(objects, "namespaces", new["metadata"].get("namespace") or "")
    if ((namespace or {}).get("metadata") or {}).get("labels", {}).get(_ADMIN_ACCESS) != "true":
        text = f"admin access to devices requires the `{_ADMIN_ACCESS}: true` label on the containing namespace"
        found = [errors.FieldError.forbidden(f"spec.devices.requests[{i}].adminAccess", text) for i in asked]
        raise errors.invalid(kind.group, kind.kind, new["metadata"].get("name", ""), found)


def _subject(kind: Kind, new: Object, old: Object | None, objects: Objects) -> None:
    """Nobody asks for a certificate with which he may do everything, whoever approves it."""
    spec = new.get("spec") or {}
    if old is None and spec.get("signerName") == _CLIENTS and _MASTERS in organizations_of(spec.get("request") or ""):
        raise _forbidden(kind, new, f"use of {_CLIENTS} signer with {_MASTERS} group is not allowed")


_ADMITTERS: Final[dict[str, Callable[[Kind, Object, Object | None, Objects], None]]] = {
    "certificatesigningrequests.certificates.k8s.io": _subject,
    "pods": _overhead,
    "persistentvolumeclaims": _expansion,
    "resourceclaims.resource.k8s.io": _admin_access,
    "resourceclaimtemplates.resource.k8s.io": _admin_access,
}
_MUTATORS: Final[dict[str, Callable[[Kind, Object, Object | None, Objects], None]]] = {
    "pods": _pod,
    "nodes": _node,
    "persistentvolumeclaims": _claim,
    "ingresses.networking.k8s.io": _ingress,
}
