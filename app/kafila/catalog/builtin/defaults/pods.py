"""PodSpec, wherever it stands: in a Pod, or in the template of a workload."""

from __future__ import annotations

import re
from typing import Any

from kafila.core import quantity
from kafila.core.values import Object

from .common import part_of

_MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_VOLUME_MODES = ("secret", "configMap", "downwardAPI", "projected")
_ROUNDED = re.compile(r"[0-9.]*[nu]|[0-9]*\.[0-9]{4,}.*|.*e-.*", re.I).fullmatch
_POD_LEVEL = ("cpu", "memory")


def image_tag(image: str) -> str:
    """The tag a reference stands for: "latest" when it has neither tag nor digest, "" when it has only a digest."""
    name, at, _ = image.partition("@")
    _, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        return tag
    return "" if at else "latest"


_LONGEST_REFERENCE = 255
# what the reference of an image may look like; of anything else Kubernetes takes no tag to be known
_is_reference = re.compile(
    r"(([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(:[0-9]+)?/)?"
    r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*"
    r"(:[\w][\w.-]{0,127})?(@[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
).fullmatch


def pull_policy(image: str) -> str:
    if not _is_reference(image) or len(re.split(r"[:@]", image)[0]) > _LONGEST_REFERENCE:
        return "IfNotPresent"
    return "Always" if image_tag(image) == "latest" else "IfNotPresent"


def default_pod_template(template: Object | None) -> None:
    if template is not None:
        default_pod_spec(part_of(template, "spec"))


def default_pod_spec(spec: Object) -> None:
    if not spec.get("restartPolicy"):
        spec["restartPolicy"] = "Always"
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    if not spec.get("dnsPolicy"):
        spec["dnsPolicy"] = "ClusterFirst"
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:  # the deprecated twin always says the same
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if not spec.get("schedulerName"):
        spec["schedulerName"] = "default-scheduler"
    for volume in spec.get("volumes") or ():
        default_volume(volume)
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            default_container(container)
    if spec.get("overhead"):
        round_up(spec["overhead"])
    if spec.get("resources"):
        _round_resources(spec["resources"])


def default_container(container: Object) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    for port in container.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env") or ():
        source = variable.get("valueFrom")
        if source:
            _default_field_ref(source.get("fieldRef"))
            reference = source.get("fileKeyRef")
            if reference and reference.get("optional") is None:
                reference["optional"] = False
    resources = container.get("resources")
    if resources:
        _round_resources(resources)
    for field in _PROBES:
        probe = container.get(field)
        if probe is not None:
            default_probe(probe)
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for field in _HOOKS:
            hook = lifecycle.get(field)
            if hook:
                _default_http_get(hook.get("httpGet"))


def default_probe(probe: Object) -> None:
    _default_http_get(probe.get("httpGet"))
    if not probe.get("timeoutSeconds"):
        probe["timeoutSeconds"] = 1
    if not probe.get("periodSeconds"):
        probe["periodSeconds"] = 10
    if not probe.get("successThreshold"):
        probe["successThreshold"] = 1
    if not probe.get("failureThreshold"):
        probe["failureThreshold"] = 3
    grpc = probe.get("grpc")
    if grpc is not None and grpc.get("service") is None:
        grpc["service"] = ""


def _default_http_get(action: Object | None) -> None:
    if action is not None:
        if not action.get("path"):
            action["path"] = "/"
        if not action.get("scheme"):
            action["scheme"] = "HTTP"


def _default_field_ref(reference: Object | None) -> None:
    if reference is not None and not reference.get("apiVersion"):
        reference["apiVersion"] = "v1"


def default_volume(volume: Object) -> None:
    if not any(value is not None for field, value in volume.items() if field != "name"):
        volume["emptyDir"] = {}
        return
    for field in _VOLUME_MODES:
        source = volume.get(field)
        if source is not None:
            if source.get("defaultMode") is None:
                source["defaultMode"] = _MODE
            if field == "downwardAPI":
                for item in source.get("items") or ():
                    _default_field_ref(item.get("fieldRef"))
            elif field == "projected":
                for part in source.get("sources") or ():
                    _default_projection(part)
    host_path = volume.get("hostPath")
    if host_path is not None and host_path.get("type") is None:
        host_path["type"] = ""
    image = volume.get("image")
    if image is not None and not image.get("pullPolicy"):
        image["pullPolicy"] = pull_policy(image.get("reference") or "")
    ephemeral = volume.get("ephemeral")
    if ephemeral and ephemeral.get("volumeClaimTemplate"):
        default_claim_spec(part_of(ephemeral["volumeClaimTemplate"], "spec"))
    for field, fixed in _OLD_SOURCES.items():
        source = volume.get(field)
        if source is not None:
            default_fields(source, fixed)


# fields of in-tree volumes with a default of their own
_OLD_SOURCES: dict[str, Object] = {
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_fields(target: Object, fixed: Object) -> None:
    for field, value in fixed.items():
        current = target.get(field)
        if current is None or (current == "" and value != ""):
            target[field] = value


def _default_projection(part: Object) -> None:
    token = part.get("serviceAccountToken")
    if token is not None and token.get("expirationSeconds") is None:
        token["expirationSeconds"] = 3600
    downward = part.get("downwardAPI")
    if downward:
        for item in downward.get("items") or ():
            _default_field_ref(item.get("fieldRef"))


def default_claim_spec(spec: Object) -> None:
    """PersistentVolumeClaimSpec."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    resources = spec.get("resources")
    if resources:
        _round_resources(resources)


def _round_resources(resources: Object) -> None:
    for field in ("limits", "requests"):
        amounts = resources.get(field)
        if amounts:
            round_up(amounts)


def round_up(amounts: dict[str, Any]) -> None:
    """Quantities are not kept finer than a thousandth."""
    for name, amount in amounts.items():
        if isinstance(amount, str) and _ROUNDED(amount):
            try:
                value = quantity.of(amount)
                if value.nano % 10**6:
                    amounts[name] = str(quantity.from_milli(quantity.to_milli(value), value.format))
            except ValueError:
                continue  # validation says what is wrong with it


def default_pod(pod: Object) -> None:
    spec = part_of(pod, "spec")
    default_pod_spec(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    host_network = spec.get("hostNetwork")
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            _requests_from_limits(container)
            if host_network:
                for port in container.get("ports") or ():
                    if not port.get("hostPort") and port.get("containerPort"):
                        port["hostPort"] = port["containerPort"]
    resources = spec.get("resources")
    if resources and resources.get("limits"):
        _pod_requests(spec, resources)
    status = pod.get("status")
    if not status:
        pod["status"] = {"phase": "Pending"}
    else:
        _link_addresses(status)


def _link_addresses(status: Object) -> None:
    """The older field is the first of the newer one; where they differ, an old kubelet wrote the older one."""
    one, many = status.get("podIP"), status.get("podIPs")
    if one and (not many or many[0].get("ip") != one):
        status["podIPs"] = [{"ip": one}]
    elif many and (first := many[0].get("ip")):
        status["podIP"] = first


def _requests_from_limits(container: Object) -> None:
    resources = container.get("resources") or {}
    limits = resources.get("limits")
    if limits:
        requests = resources.get("requests")
        if requests is None:
            requests = resources["requests"] = {}
        for name, amount in limits.items():
            requests.setdefault(name, amount)


def _pod_requests(spec: Object, resources: Object) -> None:
    """Requests of the whole pod: what its containers ask for together, else its limits."""
    requests = dict(resources.get("requests") or {})
    for name in _POD_LEVEL:
        if name not in requests:
            asked = _container_requests(spec, name)
            if asked is not None:
                requests[name] = asked
    for name, amount in resources["limits"].items():
        if name in _POD_LEVEL or name.startswith("hugepages-"):
            requests.setdefault(name, amount)
    if requests:
        resources["requests"] = requests


def _container_requests(spec: Object, name: str) -> str | None:
    total = None
    try:
        for container in spec.get("containers") or ():
            amount = ((container.get("resources") or {}).get("requests") or {}).get(name)
            if amount is not None:
                total = quantity.of(amount) if total is None else total + quantity.of(amount)
        sidecars = quantity.from_int(0)
        highest = quantity.from_int(0)
        for container in spec.get("initContainers") or ():
            amount = ((container.get("resources") or {}).get("requests") or {}).get(name)
            if amount is None:
                continue
            if container.get("restartPolicy") == "Always":
                sidecars = sidecars + quantity.of(amount)
            elif quantity.of(amount) + sidecars > highest:
                highest = quantity.of(amount) + sidecars
    except ValueError:
        return None
    if sidecars:
        total = sidecars if total is None else total + sidecars
    if highest and (total is None or highest > total):
        total = highest
    return None if total is None else str(total)
