"""The checks that the level restricted adds: today's hardening of pods."""

from __future__ import annotations

from typing import Any, Final

from kafila.core.values import Object

from . import baseline
from .pods import Check, Violation, containers, context, is_windows, named, plural, quoted, setters

_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_OTHER_VOLUMES: Final = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
]
_ROOT: Final = "runAsNonRoot != true"


def not_on_windows(check: Check) -> Check:
    return lambda metadata, spec: None if is_windows(spec) else check(metadata, spec)


def privilege_escalation(_: Object, spec: Object) -> Violation | None:
    names = [
        container.get("name", "")
        for container in containers(spec)
        if context(container).get("allowPrivilegeEscalation") is not False
    ]
    if not names:
        return None
    detail = f"{named('container', names)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail)


def capabilities(_: Object, spec: Object) -> Violation | None:
    keeping: list[str] = []
    adding: list[str] = []
    added: set[str] = set()
    for container in containers(spec):
        wanted = context(container).get("capabilities") or {}
        if "ALL" not in (wanted.get("drop") or ()):
            keeping.append(container.get("name", ""))
        more = set(wanted.get("add") or ()) - {"NET_BIND_SERVICE"}
        if more:
            adding.append(container.get("name", ""))
            added |= more
    found = []
    if keeping:
        found.append(f'{named("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        who = named("container", adding)
        found.append(f"{who} must not include {quoted(sorted(added))} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(found)) if found else None


def volumes(_: Object, spec: Object) -> Violation | None:
    found = [
        volume for volume in spec.get("volumes") or () if not any(volume.get(kind) is not None for kind in _VOLUMES)
    ]
    if not found:
        return None
    names = [volume.get("name", "") for volume in found]
    types = sorted(
        {next((kind for kind in _OTHER_VOLUMES if volume.get(kind) is not None), "unknown") for volume in found}
    )
    uses = plural("uses", len(names), "use")
    detail = f"{named('volume', names)} {uses} {plural('restricted volume type', len(types))} {quoted(types)}"
    return Violation("restricted volume types", detail)


def non_root(_: Object, spec: Object) -> Violation | None:
    who = setters(spec, lambda around: around.get("runAsNonRoot") is False)
    if who:
        return Violation(_ROOT, f"{' and '.join(who)} must not set securityContext.runAsNonRoot=false")
    silent = _silent(spec, "runAsNonRoot", bool(context(spec).get("runAsNonRoot")))
    if not silent:
        return None
    return Violation(_ROOT, f"pod or {named('container', silent)} must set securityContext.runAsNonRoot=true")


def _silent(spec: Object, field: str, said: Any) -> list[str]:
    """The containers that do not say ``field``, unless the pod says it for them."""
    if said:
        return []
    return [container.get("name", "") for container in containers(spec) if context(container).get(field) is None]


def user(_: Object, spec: Object) -> Violation | None:
    who = setters(spec, lambda around: around.get("runAsUser") == 0)
    return Violation("runAsUser=0", f"{' and '.join(who)} must not set runAsUser=0") if who else None


def seccomp(metadata: Object, spec: Object) -> Violation | None:
    found = baseline.seccomp(metadata, spec)
    silent = _silent(spec, "seccompProfile", context(spec).get("seccompProfile"))
    if found is not None or not silent:
        return found
    who = named("container", silent)
    detail = f'pod or {who} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", detail)


# as baseline.CHECKS, and which check of the baseline is not asked beside it
CHECKS: Final[dict[str, tuple[tuple[int, Check], ...]]] = {
    "allowPrivilegeEscalation": ((8, privilege_escalation), (25, not_on_windows(privilege_escalation))),
    "capabilities_restricted": ((22, capabilities), (25, not_on_windows(capabilities))),
    "procMount_restricted": ((35, baseline.proc_mount),),
    "restrictedVolumes": ((0, volumes),),
    "runAsNonRoot": ((0, non_root), (35, baseline.relaxed(non_root))),
    "runAsUser": ((23, user), (35, baseline.relaxed(user))),
    "seccompProfile_restricted": ((19, seccomp), (25, not_on_windows(seccomp))),
}
OVERRIDES: Final = {
    "capabilities_restricted": "capabilities_baseline",
    "procMount_restricted": "procMount",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}
