"""Security contexts of pods and containers."""

from __future__ import annotations

from kafila.core import names
from kafila.core.values import Object

from .common import MAX_INT32, Found, invalid, not_supported, required
from .gostructs import go_struct
from .paths import check_local_path
from .windows import check_windows_options

_CONTEXT = "api.core.v1.SecurityContext"
_ID_RANGE = names.in_range(0, MAX_INT32)
_PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")


def check_id(value: int | None, path: str, found: Found) -> None:
    if value is not None and not 0 <= value <= MAX_INT32:
        found.append(invalid(path, value, _ID_RANGE))


def check_security_context(context: Object, path: str, found: Found, *, host_users: bool) -> None:
    get = context.get
    check_id(get("runAsUser"), f"{path}.runAsUser", found)
    check_id(get("runAsGroup"), f"{path}.runAsGroup", found)
    mount = get("procMount")
    if mount is not None:
        if mount not in ("Default", "Unmasked"):
            found.append(not_supported(f"{path}.procMount", mount, ("Default", "Unmasked")))
        if mount == "Unmasked" and host_users:
            found.append(invalid(f"{path}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    check_seccomp_profile(get("seccompProfile"), f"{path}.seccompProfile", found)
    if get("allowPrivilegeEscalation") is False:
        if get("privileged"):
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(invalid(path, go_struct(_CONTEXT, context), text))
        if "CAP_SYS_ADMIN" in ((get("capabilities") or {}).get("add") or ()):
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(invalid(path, go_struct(_CONTEXT, context), text))
    check_windows_options(get("windowsOptions"), f"{path}.windowsOptions", found)
    check_apparmor_profile(get("appArmorProfile"), f"{path}.appArmorProfile", found)


def check_seccomp_profile(profile: Object | None, path: str, found: Found) -> None:
    if profile is None:
        return
    kind, local = profile.get("type"), profile.get("localhostProfile")
    if not kind:
        found.append(required(f"{path}.type", "type is required when seccompProfile is set"))
    elif kind not in _PROFILE_TYPES:
        found.append(not_supported(f"{path}.type", kind, _PROFILE_TYPES))
    if kind == "Localhost":
        if local is None:
            found.append(required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            check_local_path(local, f"{path}.localhostProfile", found)
    elif local is not None:
        text = "can only be set when seccomp type is Localhost"
        shown = go_struct("api.core.v1.SeccompProfile", profile)
        found.append(invalid(f"{path}.localhostProfile", shown, text))


def check_apparmor_profile(profile: Object | None, path: str, found: Found) -> None:
    if profile is None:
        return
    kind, local = profile.get("type"), profile.get("localhostProfile")
    if not kind:
        found.append(required(f"{path}.type", "type is required when appArmorProfile is set"))
    elif kind not in _PROFILE_TYPES:
        found.append(not_supported(f"{path}.type", kind, _PROFILE_TYPES))
    elif kind == "Localhost":
        if not (local or "").strip():
            found.append(required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost"))
        elif local and local.strip() != local:
            found.append(invalid(f"{path}.localhostProfile", local, "must not be padded with whitespace"))
    elif local is not None:
        text = "can only be set when AppArmor type is Localhost"
        found.append(invalid(f"{path}.localhostProfile", local, text))


# -- what annotations said before there were fields ------------------------------------------------------------------------

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_LISTS = ("initContainers", "containers", "ephemeralContainers")


def check_pod_annotations(annotations: dict[str, str], spec: Object, path: str, found: Found) -> None:
    if MIRROR in annotations and not spec.get("nodeName"):
        text = "must set spec.nodeName if mirror pod annotation is set"
        found.append(invalid(f"{path}[{MIRROR}]", annotations[MIRROR], text))
    cost = annotations.get(DELETION_COST)
    if cost is not None and not _is_int32(cost):
        found.append(invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))
    for key, value in annotations.items():
        if key == _SECCOMP_POD or key.startswith(_SECCOMP_CONTAINER):
            _check_seccomp_name(value, f"{path}.{key}", found)
    for key, value in annotations.items():
        if not key.startswith(APPARMOR):
            continue
        name = key.removeprefix(APPARMOR)
        if not any(c.get("name") == name for field in _LISTS for c in spec.get(field) or ()):
            found.append(invalid(f"{path}[{key}]", name, "container not found"))
        if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
            found.append(invalid(f"{path}[{key}]", value, f'invalid AppArmor profile name: "{value}"'))


def _check_seccomp_name(value: str, path: str, found: Found) -> None:
    if value.startswith("localhost/"):
        check_local_path(value.removeprefix("localhost/"), path, found)
    elif value not in ("runtime/default", "docker/default", "unconfined"):
        found.append(invalid(path, value, "must be a valid seccomp profile"))


def _is_int32(text: str) -> bool:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or (len(digits) > 1 and digits[0] == "0") or text[:1] == "+":
        return False
    return len(digits) < 11 and -(2**31) <= int(text) <= MAX_INT32
