"""Which kinds are warned about what, as functions of a whole object."""

from __future__ import annotations

import base64

from kafila.core import names
from kafila.core.values import Object

from .pod import pod_template_warnings, pod_warnings

_DNS_LABEL = "which can result in surprising behavior; a DNS label is recommended"


def nothing(new: Object, old: Object | None) -> list[str]:
    return []


def _name(obj: Object, used: str) -> list[str]:
    name = obj["metadata"].get("name") or ""
    why = names.dns1123_label(name) if name else []
    return [f"metadata.name: this is used in {used}, {_DNS_LABEL}: [{' '.join(why)}]"] if why else []


def _template(obj: Object, *path: str) -> list[str]:
    for part in path:
        obj = obj.get(part) or {}
    return pod_template_warnings(obj, ".".join(path) + ".")


def pod(obj: Object) -> list[str]:
    return _name(obj, "the Pod's hostname") + pod_warnings(obj)


def pod_template(obj: Object) -> list[str]:
    return _template(obj, "template")


def workload(obj: Object) -> list[str]:
    return _name(obj, "Pod names and hostnames") + _template(obj, "spec", "template")


def daemon_set(obj: Object) -> list[str]:
    return _template(obj, "spec", "template")


def stateful_set(obj: Object) -> list[str]:
    out = _template(obj, "spec", "template")
    if ((obj.get("spec") or {}).get("revisionHistoryLimit") or 0) < 0:
        text = "a negative value retains all historical revisions; a value >= 0 is recommended"
        out.append(f"spec.revisionHistoryLimit: {text}")
    return out


def cron_job(obj: Object) -> list[str]:
    return _name(obj, "Pod names and hostnames") + _template(obj, "spec", "jobTemplate", "spec", "template")


def ingress(obj: Object) -> list[str]:
    name = "kubernetes.io/ingress.class"
    if name not in (obj["metadata"].get("annotations") or {}):
        return []
    return [f"annotation \"{name}\" is deprecated, please use 'spec.ingressClassName' instead"]


def csi_driver(obj: Object) -> list[str]:
    spec = obj.get("spec") or {}
    if not spec.get("tokenRequests") or spec.get("serviceAccountTokenInSecrets") is not None:
        return []
    text = "is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"
    return [f"spec.serviceAccountTokenInSecrets {text}"]


def node(obj: Object) -> list[str]:
    if not (obj.get("spec") or {}).get("externalID"):
        return []
    return ["spec.externalID: this field is deprecated, and is unused by Kubernetes"]


def secret(obj: Object) -> list[str]:
    """Go's error about a pair without any PEM; other pairs are not looked into."""
    if obj.get("type") != "kubernetes.io/tls":
        return []
    for field, what in (("tls.crt", "certificate"), ("tls.key", "key")):
        try:
            text = base64.b64decode((obj.get("data") or {}).get(field) or "")
        except ValueError:
            return []
        if b"-----BEGIN " not in text:
            return [f"tls: failed to find any PEM data in {what} input"]
    return []


def persistent_volume(obj: Object) -> list[str]:
    if (obj.get("spec") or {}).get("persistentVolumeReclaimPolicy") != "Recycle":
        return []
    text = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
    return [f"spec.persistentVolumeReclaimPolicy: {text}"]


def resource_slice(obj: Object) -> list[str]:
    driver = (obj.get("spec") or {}).get("driver") or ""
    if driver == driver.lower():
        return []
    return [f'spec.driver: driver names should be lowercase; "{driver}" contains uppercase characters']
