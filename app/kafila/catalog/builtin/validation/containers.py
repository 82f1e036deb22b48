"""Containers of a pod: names, images, ports, environment, mounts, restarts and security."""

from __future__ import annotations

from collections.abc import Collection

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    PROTOCOLS,
    Found,
    check_enum,
    check_name,
    check_port,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)
from .environment import check_environment, check_environment_sources
from .paths import check_local_path, has_backstep
from .probes import PROBES, check_life
from .resources import check_requirements
from .security import check_security_context

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
_NO_POLICY = "must specify restartPolicy when restart rules are used"
_NOT_FOR_INIT = "may not be set for init containers without restartPolicy=Always"
# what an ephemeral container may have
_EPHEMERAL_FIELDS = frozenset(
    {
        "name",
        "image",
        "command",
        "args",
        "workingDir",
        "env",
        "envFrom",
        "volumeMounts",
        "volumeDevices",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
        "securityContext",
        "stdin",
        "stdinOnce",
        "tty",
        "targetContainerName",
    }
)


class AdmissionContext:
    """What containers refer to: the pod they are in."""

    __slots__ = ("claims", "grace", "host_users", "os", "restart_policy", "volumes")

    def __init__(self, spec: Object, volumes: dict[str, Object]) -> None:
        self.volumes = volumes
        self.claims = frozenset(claim.get("name") or "" for claim in spec.get("resourceClaims") or ())
        self.grace: int | None = spec.get("terminationGracePeriodSeconds")
        self.restart_policy: str = spec.get("restartPolicy") or ""
        self.os: str | None = (spec.get("os") or {}).get("name") if spec.get("os") else None
        self.host_users: bool = spec.get("hostUsers") is not False


def check_containers(containers: list[Object] | None, path: str, found: Found, around: AdmissionContext) -> None:
    if not containers:
        found.append(required(path))
        return
    seen: set[str] = set()
    for i, container in enumerate(containers):
        where = f"{path}[{i}]"
        _check_common(container, where, found, around)
        name = container.get("name") or ""
        if name in seen:
            found.append(duplicate(f"{where}.name", name))
        seen.add(name)
        check_life(container, where, found, around.grace)
        if container.get("restartPolicy") is not None or container.get("restartPolicyRules"):
            _check_restart_policy(container, where, found)
    check_host_ports(containers, path, found)


def check_init_containers(
    containers: list[Object], regular: list[Object], path: str, found: Found, around: AdmissionContext
) -> None:
    seen = {container.get("name") or "" for container in regular}
    for i, container in enumerate(containers):
        where = f"{path}[{i}]"
        _check_common(container, where, found, around)
        if container.get("restartPolicy") is not None:
            _check_restart_policy(container, where, found)
        elif container.get("restartPolicyRules"):
            found.append(required(f"{where}.restartPolicy", _NO_POLICY))
        name = container.get("name") or ""
        if name in seen:
            found.append(duplicate(f"{where}.name", name))
        elif name:
            seen.add(name)
        check_host_ports([container], path, found)
        sidecar = container.get("restartPolicy") == "Always"
        if sidecar:
            check_life(container, where, found, around.grace)
        else:
            for field in ("lifecycle", *PROBES):
                if container.get(field) is not None:
                    found.append(forbidden(f"{where}.{field}", _NOT_FOR_INIT))
            for j, policy in enumerate(container.get("resizePolicy") or ()):
                if policy.get("restartPolicy") == "RestartContainer":
                    text = "must not be set to 'RestartContainer' for non-sidecar initContainers"
                    found.append(invalid(f"{where}.resizePolicy[{j}].restartPolicy", "RestartContainer", text))


def check_ephemeral_containers(
    containers: list[Object], others: Collection[str], path: str, found: Found, around: AdmissionContext
) -> None:
    seen = set(others)
    for i, container in enumerate(containers):
        where = f"{path}[{i}]"
        _check_common(container, where, found, around)
        check_image_has_no_space(container, where, found)
        name = container.get("name") or ""
        if name in seen:
            found.append(duplicate(f"{where}.name", name))
        seen.add(name)
        target = container.get("targetContainerName")
        if target and target not in others:
            found.append(not_found(f"{where}.targetContainerName", target))
        for field, value in container.items():
            if field not in _EPHEMERAL_FIELDS and value:
                found.append(forbidden(f"{where}.{field}", "cannot be set for an Ephemeral Container"))
        for j, mount in enumerate(container.get("volumeMounts") or ()):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    text = "cannot be set for an Ephemeral Container"
                    found.append(forbidden(f"{where}.volumeMounts[{j}].{field}", text))


def check_image_has_no_space(container: Object, path: str, found: Found) -> None:
    image = container.get("image") or ""
    if image.strip() != image:
        found.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))


def _check_common(container: Object, path: str, found: Found, around: AdmissionContext) -> None:
    get = container.get
    name = get("name")
    if not name:
        found.append(required(f"{path}.name"))
    elif names.dns1123_label(name):
        check_name(name, f"{path}.name", found, names.dns1123_label)
    if not get("image"):
        found.append(required(f"{path}.image"))
    if get("terminationMessagePolicy") not in MESSAGE_POLICIES:
        check_enum(get("terminationMessagePolicy"), MESSAGE_POLICIES, f"{path}.terminationMessagePolicy", found)
    ports = get("ports")
    if ports:
        _check_ports(ports, f"{path}.ports", found)
    env = get("env")
    if env:
        check_environment(env, f"{path}.env", found)
    env_from = get("envFrom")
    if env_from:
        check_environment_sources(env_from, f"{path}.envFrom", found)
    mounts, devices = get("volumeMounts"), get("volumeDevices")
    if mounts:
        _check_mounts(mounts, devices or (), container, f"{path}.volumeMounts", found, around)
    if devices:
        _check_devices(devices, mounts or (), f"{path}.volumeDevices", found, around)
    if get("imagePullPolicy") not in PULL_POLICIES:
        check_enum(get("imagePullPolicy"), PULL_POLICIES, f"{path}.imagePullPolicy", found)
    resources = get("resources")
    if resources:
        check_requirements(resources, f"{path}.resources", found, around.claims)
    resize = get("resizePolicy")
    if resize:
        _check_resize(resize, f"{path}.resizePolicy", found, around)
    security = get("securityContext")
    if security:
        check_security_context(security, f"{path}.securityContext", found, host_users=around.host_users)


def _check_ports(ports: list[Object], path: str, found: Found) -> None:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        name = port.get("name")
        if name:
            reasons = names.port_name(name)
            if reasons:
                found.extend(invalid(f"{path}[{i}].name", name, why) for why in reasons)
            elif name in seen:
                found.append(duplicate(f"{path}[{i}].name", name))
            else:
                seen.add(name)
        number = port.get("containerPort")
        if not number:
            found.append(required(f"{path}[{i}].containerPort"))
        else:
            check_port(number, f"{path}[{i}].containerPort", found)
        if port.get("hostPort"):
            check_port(port["hostPort"], f"{path}[{i}].hostPort", found)
        if port.get("protocol") not in PROTOCOLS:
            check_enum(port.get("protocol"), PROTOCOLS, f"{path}[{i}].protocol", found)


def check_host_ports(containers: list[Object], path: str, found: Found) -> None:
    """No two ports of a pod on the same port of the host."""
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports") or ()):
            number = port.get("hostPort")
            if number:
                text = f"{port.get('protocol') or ''}/{port.get('hostIP') or ''}/{number}"
                if text in seen:
                    found.append(duplicate(f"{path}[{i}].ports[{j}].hostPort", text))
                seen.add(text)


def _check_mounts(
    mounts: list[Object],
    devices: Collection[Object],
    container: Object,
    path: str,
    found: Found,
    around: AdmissionContext,
) -> None:
    device_names = {device.get("name") for device in devices}
    device_paths = {device.get("devicePath") for device in devices}
    seen: set[str] = set()
    for i, mount in enumerate(mounts):
        name, target = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            found.append(required(f"{path}[{i}].name"))
        if name not in around.volumes:
            found.append(not_found(f"{path}[{i}].name", name))
        if not target:
            found.append(required(f"{path}[{i}].mountPath"))
        if target in seen:
            found.append(invalid(f"{path}[{i}].mountPath", target, "must be unique"))
        seen.add(target)
        if name in device_names:
            found.append(invalid(f"{path}[{i}].name", name, "must not already exist in volumeDevices"))
        if target in device_paths:
            text = "must not already exist as a path in volumeDevices"
            found.append(invalid(f"{path}[{i}].mountPath", target, text))
        sub, expression = mount.get("subPath"), mount.get("subPathExpr")
        if sub:
            check_local_path(sub, f"{path}.subPath", found)
        if expression:
            if sub:
                text = "subPathExpr and subPath are mutually exclusive"
                found.append(invalid(f"{path}[{i}].subPathExpr", expression, text))
            check_local_path(expression, f"{path}.subPathExpr", found)
        if mount.get("mountPropagation") is not None:
            _check_propagation(mount["mountPropagation"], container, f"{path}.mountPropagation", found)
        if mount.get("recursiveReadOnly") is not None:
            _check_recursive_read_only(mount, f"{path}.recursiveReadOnly", found)


_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def _check_propagation(value: str, container: Object, path: str, found: Found) -> None:
    if value not in _PROPAGATIONS:
        found.append(not_supported(path, value, _PROPAGATIONS))
    if value == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        found.append(forbidden(path, "Bidirectional mount propagation is available only to privileged containers"))


def _check_recursive_read_only(mount: Object, path: str, found: Found) -> None:
    value = mount["recursiveReadOnly"]
    if value not in _RECURSIVE:
        found.append(not_supported(path, value, _RECURSIVE))
    elif value != "Disabled":
        if not mount.get("readOnly"):
            found.append(forbidden(path, "may only be specified when readOnly is true"))
        if mount.get("mountPropagation") not in (None, "None"):
            text = "may only be specified when mountPropagation is None or not specified"
            found.append(forbidden(path, text))


def _check_devices(
    devices: list[Object], mounts: Collection[Object], path: str, found: Found, around: AdmissionContext
) -> None:
    mount_names = {mount.get("name") for mount in mounts}
    mount_paths = {mount.get("mountPath") for mount in mounts}
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for i, device in enumerate(devices):
        name, target = device.get("name") or "", device.get("devicePath") or ""
        at_name, at_path = f"{path}[{i}].name", f"{path}[{i}].devicePath"
        if not name:
            found.append(required(at_name))
        if name in seen_names:
            found.append(invalid(at_name, name, "must be unique"))
        volume = around.volumes.get(name)
        if volume is None:
            found.append(not_found(at_name, name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            found.append(invalid(at_name, name, text))
        if not target:
            found.append(required(at_path))
        if target in seen_paths:
            found.append(invalid(at_path, target, "must be unique"))
        if target and has_backstep(target):
            found.append(invalid(at_path, target, "can not contain backsteps ('..')"))
        else:
            seen_paths.add(target)
        if name in mount_names:
            found.append(invalid(at_name, name, "must not already exist in volumeMounts"))
        if target in mount_paths:
            found.append(invalid(at_path, target, "must not already exist as a path in volumeMounts"))
        if name:
            seen_names.add(name)


# -- restarts, resizing ----------------------------------------------------------------------------------------------------


def _check_restart_policy(container: Object, path: str, found: Found) -> None:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        found.append(required(f"{path}.restartPolicy", _NO_POLICY))
    elif policy not in RESTART_POLICIES:
        found.append(not_supported(f"{path}.restartPolicy", policy, RESTART_POLICIES))
    if len(rules) > 20:
        found.append(FieldError.too_many(f"{path}.restartPolicyRules", len(rules), 20))
    for i, rule in enumerate(rules):
        where = f"{path}.restartPolicyRules[{i}]"
        if rule.get("action") not in ("Restart", "RestartAllContainers"):
            allowed = ("Restart", "RestartAllContainers")
            found.append(not_supported(f"{where}.action", rule.get("action") or "", allowed))
        codes = rule.get("exitCodes")
        if codes is None:
            found.append(required(f"{where}.exitCodes", "must be specified"))
            continue
        if codes.get("operator") not in ("In", "NotIn"):
            found.append(not_supported(f"{where}.exitCodes.operator", codes.get("operator") or "", ("In", "NotIn")))
        if len(codes.get("values") or ()) > 255:
            found.append(FieldError.too_many(f"{where}.exitCodes.values", len(codes["values"]), 255))


def _check_resize(policies: list[Object], path: str, found: Found, around: AdmissionContext) -> None:
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        name, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if name in seen:
            found.append(duplicate(f"{path}[{i}]", name))
        seen.add(name)
        check_enum(name, ("cpu", "memory"), path, found)
        check_enum(restart, ("NotRequired", "RestartContainer"), path, found)
        if around.restart_policy == "Never" and restart != "NotRequired":
            text = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            found.append(invalid(path, restart, text))
