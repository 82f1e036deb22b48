"""The objects that a workload needs beside it: ConfigMaps, Secrets, service accounts, volume claims.

References are ``{"apiVersion", "kind", "namespace", "name"}``, sorted by name within a kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from kafila.core.values import Object, nested
from kafila.placement.constants import derived_service
from kafila.placement.objects import name, namespace

# Where a volume source names a secret.
_SECRETS_OF_VOLUMES: Final = (
    ("azureFile", "secretName"),
    ("cephfs", "secretRef", "name"),
    ("cinder", "secretRef", "name"),
    ("flexVolume", "secretRef", "name"),
    ("rbd", "secretRef", "name"),
    ("secret", "secretName"),
    ("scaleIO", "secretRef", "name"),
    ("iscsi", "secretRef", "name"),
    ("storageos", "secretRef", "name"),
    ("csi", "nodePublishSecretRef", "name"),
)
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")


def of_pod_spec(pod_spec: Object, namespace: str) -> list[Object]:
    account = pod_spec.get("serviceAccountName")
    found = (
        ("ConfigMap", _config_maps(pod_spec)),
        ("Secret", _secrets(pod_spec)),
        ("ServiceAccount", [account] if account != "default" else []),
        ("PersistentVolumeClaim", _claims(pod_spec)),
    )
    return [
        _reference("v1", kind, namespace, each) for kind, named in found for each in sorted(set(filter(None, named)))
    ]


def _reference(api_version: str, kind: str, namespace: str, name: str) -> Object:
    reference = {"apiVersion": api_version, "kind": kind}
    if namespace:
        reference["namespace"] = namespace
    if name:
        reference["name"] = name
    return reference


def _volumes(pod_spec: Object) -> Iterable[Object]:
    return pod_spec.get("volumes") or ()


def _projected(pod_spec: Object) -> Iterator[Object]:
    for volume in _volumes(pod_spec):
        yield from nested(volume, "projected", "sources") or ()


def _from_environment(pod_spec: Object, whole: str, key: str) -> Iterator[Any]:
    for kind in _CONTAINERS:
        for container in pod_spec.get(kind) or ():
            for source in container.get("envFrom") or ():
                yield nested(source, whole, "name")
            for variable in container.get("env") or ():
                yield nested(variable, "valueFrom", key, "name")


def _config_maps(pod_spec: Object) -> Iterator[Any]:
    yield from _from_environment(pod_spec, "configMapRef", "configMapKeyRef")
    for volume in _volumes(pod_spec):
        yield nested(volume, "configMap", "name")
    for source in _projected(pod_spec):
        yield nested(source, "configMap", "name")


def _secrets(pod_spec: Object) -> Iterator[Any]:
    for reference in pod_spec.get("imagePullSecrets") or ():
        yield reference.get("name")
    yield from _from_environment(pod_spec, "secretRef", "secretKeyRef")
    for volume in _volumes(pod_spec):
        for path in _SECRETS_OF_VOLUMES:
            yield nested(volume, *path)
    for source in _projected(pod_spec):
        yield nested(source, "secret", "name")


def _claims(pod_spec: Object) -> Iterator[Any]:
    for volume in _volumes(pod_spec):
        yield nested(volume, "persistentVolumeClaim", "claimName")


def of_template(obj: Object) -> list[Object]:
    """Deployment, ReplicaSet, DaemonSet, Job."""
    return of_pod_spec(nested(obj, "spec", "template", "spec") or {}, namespace(obj))


def of_cron_job(obj: Object) -> list[Object]:
    return of_pod_spec(nested(obj, "spec", "jobTemplate", "spec", "template", "spec") or {}, namespace(obj))


def of_pod(obj: Object) -> list[Object]:
    return of_pod_spec(obj.get("spec") or {}, namespace(obj))


def of_stateful_set(obj: Object) -> list[Object]:
    """Without the claims that the members make from its volumeClaimTemplates."""
    own = {nested(claim, "metadata", "name") for claim in nested(obj, "spec", "volumeClaimTemplates") or ()}
    return [
        reference
        for reference in of_template(obj)
        if reference["kind"] != "PersistentVolumeClaim" or reference["name"] not in own
    ]


def of_ingress(obj: Object) -> list[Object]:
    return [
        _reference("v1", "Secret", namespace(obj), tls.get("secretName") or "")
        for tls in nested(obj, "spec", "tls") or ()
    ]


def of_service_import(obj: Object) -> list[Object]:
    service = derived_service(name(obj))
    slices = _reference("discovery.k8s.io/v1", "EndpointSlice", namespace(obj), "")
    slices["labelSelector"] = {"matchLabels": {"kubernetes.io/service-name": service}}
    return [_reference("v1", "Service", namespace(obj), service), slices]
