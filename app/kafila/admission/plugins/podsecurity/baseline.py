"""The checks of the level baseline: what lets a pod take over the node it runs on."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Final

from kafila.catalog.builtin.validation.security import APPARMOR
from kafila.core.quoting import quoted as go_quoted
from kafila.core.values import Object

from .pods import Check, Violation, containers, context, in_user_namespace, named, plural, quoted, setters, values_of

_SECCOMP_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER: Final = "container.seccomp.security.alpha.kubernetes.io/"
PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})
_CAPABILITIES: Final = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    }
)
_SYSCTLS_27: Final = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29: Final = _SYSCTLS_27 | {
    f"net.ipv4.tcp_{name}" for name in ("keepalive_time", "fin_timeout", "keepalive_intvl", "keepalive_probes")
}
_SYSCTLS_32: Final = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def app_armor(metadata: Object, spec: Object) -> Violation | None:
    def bad(around: Object) -> str | None:
        profile = around.get("appArmorProfile")
        return None if profile is None or profile.get("type", "") in PROFILES else profile.get("type", "")

    who, values = setters(spec, lambda around: bad(around) is not None), values_of(spec, bad)
    annotations = sorted(
        f"{name}={go_quoted(value)}"
        for name, value in (metadata.get("annotations") or {}).items()
        if name.startswith(APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    if annotations:
        who, values = [*who, plural("annotation", len(annotations))], [*values, *annotations]
    if not who:
        return None
    reason = plural("forbidden AppArmor profile", len(values))
    return Violation(reason, f"{' and '.join(who)} must not set AppArmor profile type to {quoted(values)}")


def capabilities(_: Object, spec: Object) -> Violation | None:
    names, forbidden = _containers_with(
        spec, lambda c: set((context(c).get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
    )
    if not names:
        return None
    who = named("container", names)
    detail = f"{who} must not include {quoted(forbidden)} in securityContext.capabilities.add"
    return Violation("non-default capabilities", detail)


def host_namespaces(_: Object, spec: Object) -> Violation | None:
    found = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return Violation("host namespaces", ", ".join(found)) if found else None


def host_path_volumes(_: Object, spec: Object) -> Violation | None:
    found = [volume.get("name", "") for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Violation("hostPath volumes", named("volume", found)) if found else None


def host_ports(_: Object, spec: Object) -> Violation | None:
    names, ports = _containers_with(
        spec, lambda c: {str(port["hostPort"]) for port in c.get("ports") or () if port.get("hostPort")}
    )
    if not names:
        return None
    uses = plural("uses", len(names), "use")
    detail = f"{named('container', names)} {uses} {plural('hostPort', len(ports))} {', '.join(ports)}"
    return Violation("hostPort", detail)


def host_probes(_: Object, spec: Object) -> Violation | None:
    names, hosts = _containers_with(spec, _probed_hosts)
    if not names:
        return None
    who = named("container", sorted(set(names)))
    uses = plural("uses", len(set(names)), "use")
    detail = f"{who} {uses} {plural('probe or lifecycle host', len(hosts))} {quoted(hosts)}"
    return Violation("probe or lifecycle host", detail)


def _probed_hosts(container: Object) -> set[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
    handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
    actions = [(handler or {}).get(action) or {} for handler in handlers for action in ("httpGet", "tcpSocket")]
    return {action["host"] for action in actions if action.get("host")}


def privileged(_: Object, spec: Object) -> Violation | None:
    names = [container.get("name", "") for container in containers(spec) if context(container).get("privileged")]
    if not names:
        return None
    return Violation("privileged", f"{named('container', names)} must not set securityContext.privileged=true")


def proc_mount(_: Object, spec: Object) -> Violation | None:
    names, types = _containers_with(spec, lambda c: {context(c).get("procMount") or "Default"} - {"Default"})
    if not names:
        return None
    return Violation(
        "procMount", f"{named('container', names)} must not set securityContext.procMount to {quoted(types)}"
    )


def relaxed(check: Check) -> Check:
    """Does not ask it of a pod in a user namespace of its own."""
    return lambda metadata, spec: None if in_user_namespace(spec) else check(metadata, spec)


def seccomp_annotations(metadata: Object, spec: Object) -> Violation | None:
    annotations = metadata.get("annotations") or {}
    names = [_SECCOMP_POD, *(_SECCOMP_CONTAINER + container.get("name", "") for container in containers(spec))]
    found = sorted(
        {
            f"{name}={go_quoted(annotations[name])}"
            for name in names
            if name in annotations
            and annotations[name] not in ("runtime/default", "docker/default")
            and not annotations[name].startswith("localhost/")
        }
    )
    detail = f"forbidden {plural('annotation', len(found))} {', '.join(found)}"
    return Violation("seccompProfile", detail) if found else None


def seccomp(_: Object, spec: Object) -> Violation | None:
    def bad(around: Object) -> str | None:
        profile = around.get("seccompProfile")
        return None if profile is None or profile.get("type", "") in PROFILES else profile.get("type", "")

    who = setters(spec, lambda around: bad(around) is not None)
    if not who:
        return None
    values = quoted(values_of(spec, bad))
    return Violation(
        "seccompProfile", f"{' and '.join(who)} must not set securityContext.seccompProfile.type to {values}"
    )


def selinux(types: Set[str]) -> Check:
    def check(_: Object, spec: Object) -> Violation | None:
        def options(around: Object) -> Object:
            return around.get("seLinuxOptions") or {}

        who = setters(
            spec,
            lambda c: bool(options(c).get("type", "") not in types or options(c).get("user") or options(c).get("role")),
        )
        if not who:
            return None
        bad = values_of(spec, lambda c: None if options(c).get("type", "") in types else options(c)["type"])
        found = [named("type", bad)] if bad else []
        everywhere = [options(around) for around in (context(spec), *map(context, containers(spec)))]
        found += [f"{field} may not be set" for field in ("user", "role") if any(o.get(field) for o in everywhere)]
        detail = f"{' and '.join(who)} set forbidden securityContext.seLinuxOptions: {'; '.join(found)}"
        return Violation("seLinuxOptions", detail)

    return check


def sysctls(allowed: Set[str]) -> Check:
    def check(_: Object, spec: Object) -> Violation | None:
        names = [sysctl.get("name", "") for sysctl in context(spec).get("sysctls") or ()]
        found = [name for name in names if name not in allowed]
        return Violation("forbidden sysctls", ", ".join(found)) if found else None

    return check


def host_process(_: Object, spec: Object) -> Violation | None:
    who = setters(spec, lambda around: bool((around.get("windowsOptions") or {}).get("hostProcess")))
    if not who:
        return None
    detail = f"{' and '.join(who)} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", detail)


def _containers_with(spec: Object, find: Callable[[Object], set[Any]]) -> tuple[list[str], list[Any]]:
    """The names of the containers in which ``find`` finds something, and all that it found, sorted."""
    names: list[str] = []
    everything: set[Any] = set()
    for container in containers(spec):
        found = find(container)
        if found:
            names.append(container.get("name", ""))
            everything |= found
    return names, sorted(everything)


# id -> (minor version from which on, check), oldest first
CHECKS: Final[dict[str, tuple[tuple[int, Check], ...]]] = {
    "appArmorProfile": ((0, app_armor),),
    "capabilities_baseline": ((0, capabilities),),
    "hostNamespaces": ((0, host_namespaces),),
    "hostPathVolumes": ((0, host_path_volumes),),
    "hostPorts": ((0, host_ports),),
    "hostProbesAndHostLifecycle": ((34, host_probes),),
    "privileged": ((0, privileged),),
    "procMount": ((0, proc_mount), (35, relaxed(proc_mount))),
    "seLinuxOptions": ((0, selinux(_SELINUX_TYPES)), (31, selinux(_SELINUX_TYPES | {"container_engine_t"}))),
    "seccompProfile_baseline": ((0, seccomp_annotations), (19, seccomp)),
    "sysctls": (
        (0, sysctls(_SYSCTLS)),
        (27, sysctls(_SYSCTLS_27)),
        (29, sysctls(_SYSCTLS_29)),
        (32, sysctls(_SYSCTLS_32)),
    ),
    "windowsHostProcess": ((0, host_process),),
}
