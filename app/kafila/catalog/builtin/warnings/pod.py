"""Pods and pod templates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafila.catalog.builtin.validation.security import APPARMOR
from kafila.core.quantity import to_milli
from kafila.core.values import Object

from .addresses import ip_warnings
from .paths import overlapping_paths

_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageOS": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_NO_POD = "a null labelSelector results in matching no pod"
_BYTES = ("memory", "ephemeral-storage")


def pod_warnings(pod: Object) -> list[str]:
    return _warnings(pod, "")


def pod_template_warnings(template: Object | None, path: str) -> list[str]:
    """``path``: where the template is, with a dot behind it."""
    return _warnings(template, path) if template else []


def _warnings(pod: Object, at: str) -> list[str]:
    spec, annotations = pod.get("spec") or {}, (pod.get("metadata") or {}).get("annotations") or {}
    path = f"{at}spec"
    out = [f"{path}.nodeSelector[{k}]: {_NODE_LABELS[k]}" for k in spec.get("nodeSelector") or () if k in _NODE_LABELS]
    out += _spread(spec, path)
    out += [f"{at}metadata.annotations[{k}]: {text}" for k, text in _ANNOTATIONS.items() if k in annotations]
    out += _volumes(spec, path)
    out += overlapping_paths(spec.get("volumes") or ())
    out += _repeated(spec, path)
    out += _fractions(spec.get("overhead"), f"{path}.overhead")
    if _SECCOMP_POD in annotations and not (spec.get("securityContext") or {}).get("seccompProfile"):
        text = 'non-functional in v1.27+; use the "seccompProfile" field instead'
        out.append(f"{at}metadata.annotations[{_SECCOMP_POD}]: {text}")
    for container, where in _containers(spec, path):
        out += _container(container, where, annotations, at)
    out += _ports(spec, path)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        out.append(f"{path}.terminationGracePeriodSeconds: {text}")
    out += _affinity(spec.get("affinity") or {}, f"{path}.affinity")
    for i, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or ()):
        out += ip_warnings(f"{path}.dnsConfig.nameservers[{i}]", server)
    for i, alias in enumerate(spec.get("hostAliases") or ()):
        out += ip_warnings(f"{path}.hostAliases[{i}].ip", alias.get("ip") or "")
    return out


def _containers(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(field) or ()):
            yield container, f"{path}.{field}[{i}]"


def _spread(spec: Object, path: str) -> list[str]:
    out = []
    for i, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        where, key = f"{path}.topologySpreadConstraints[{i}]", constraint.get("topologyKey") or ""
        if key in _NODE_LABELS:
            out.append(f"{where}.topologyKey: {key} is {_NODE_LABELS[key]}")
        if constraint.get("labelSelector") is None:
            out.append(f"{where}.labelSelector: {_NO_POD}")
    return out


def _volumes(spec: Object, path: str) -> list[str]:
    return [
        f"{path}.volumes[{i}].{field}: {text}"
        for i, volume in enumerate(spec.get("volumes") or ())
        for field, text in _VOLUMES.items()
        if (volume.get("storageos") if field == "storageOS" else volume.get(field)) is not None
    ]


def _repeated(spec: Object, path: str) -> list[str]:
    out = []
    for field, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen = set()
        for i, item in enumerate(spec.get(field) or ()):
            value = item.get(key) or ""
            if value in seen:
                out.append(f'{path}.{field}[{i}].{key}: duplicate {key} "{value}"')
            seen.add(value)
    for i, item in enumerate(spec.get("imagePullSecrets") or ()):
        if not item.get("name"):
            out.append(f'{path}.imagePullSecrets[{i}].name: invalid empty name ""')
    return out


def _fractions(resources: Object | None, path: str) -> list[str]:
    out = []
    for name in _BYTES:
        value = (resources or {}).get(name)
        if value is not None and to_milli(value) % 1000:
            out.append(f'{path}[{name}]: fractional byte value "{value}" is invalid, must be an integer')
    return out


def _container(container: Object, path: str, annotations: Object, at: str) -> list[str]:
    out = []
    context, name = container.get("securityContext") or {}, container.get("name") or ""
    if f"{_SECCOMP}{name}" in annotations and not context.get("seccompProfile"):
        text = 'non-functional in v1.27+; use the "seccompProfile" field instead'
        out.append(f"{at}metadata.annotations[{_SECCOMP}{name}]: {text}")
    if at and f"{APPARMOR}{name}" in annotations and not context.get("appArmorProfile"):
        text = 'deprecated since v1.30; use the "appArmorProfile" field instead'
        out.append(f"{at}metadata.annotations[{APPARMOR}{name}]: {text}")
    resources = container.get("resources") or {}
    for resource in _BYTES:
        for field in ("limits", "requests"):
            value = (resources.get(field) or {}).get(resource)
            if value is not None:
                out += _fractions({resource: value}, f"{path}.resources.{field}")
    seen = set()
    for i, variable in enumerate(container.get("env") or ()):
        key, value = variable.get("name") or "", variable.get("value") or ""
        if key in seen and (variable.get("valueFrom") or value == f"$({key})" or f"$({key})" not in value):
            out.append(f'{path}.env[{i}]: hides previous definition of "{key}", which may be dropped when using apply')
        seen.add(key)
    return out


def _ports(spec: Object, path: str) -> list[str]:
    out: list[str] = []
    known: dict[tuple[Any, Any], list[tuple[str, Object]]] = {}
    for container, where in _containers(spec, path):
        for i, port in enumerate(container.get("ports") or ()):
            here = f"{where}.ports[{i}]"
            others = known.setdefault((port.get("containerPort"), port.get("protocol")), [])
            out += [text for there, other in others if (text := _clash(here, port, there, other))]
            others.append((here, port))
    names: dict[str, str] = {}
    for container, where in _containers(spec, path):
        for i, port in enumerate(container.get("ports") or ()):
            if name := port.get("name"):
                first = names.setdefault(name, f"{where}.ports[{i}]")
                if first != f"{where}.ports[{i}]":
                    out.append(
                        f'{where}.ports[{i}]: duplicate port name "{name}" with {first}, '
                        f"services and probes that select ports by name will use {first}"
                    )
    return out


def _clash(here: str, port: Object, there: str, other: Object) -> str:
    host, others_host = port.get("hostPort") or 0, other.get("hostPort") or 0
    address, others_address = port.get("hostIP") or "", other.get("hostIP") or ""
    if (host, address) == (others_host, others_address):
        return f"{here}: duplicate port definition with {there}"
    if not host or not others_host:
        return f"{here}: overlapping port definition with {there}"
    if host == others_host and bool(address) != bool(others_address):
        return f"{here}: dangerously ambiguous port definition with {there}"
    return ""


def _affinity(affinity: Object, path: str) -> list[str]:
    out = []
    for field in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(field) or {}
        when = "DuringSchedulingIgnoredDuringExecution"
        for i, term in enumerate(terms.get(f"required{when}") or ()):
            if term.get("labelSelector") is None:
                out.append(f"{path}.{field}.required{when}[{i}].labelSelector: {_NO_POD}")
        for i, weighted in enumerate(terms.get(f"preferred{when}") or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                out.append(f"{path}.{field}.preferred{when}[{i}].podAffinityTerm.labelSelector: {_NO_POD}")
    return out
