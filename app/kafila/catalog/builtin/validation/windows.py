"""Windows options of pods and containers."""

from __future__ import annotations

import re

from kafila.core import names
from kafila.core.values import Object

from .common import Found, check_name, invalid

_LONGEST_SPEC = 64  # KiB
_LONGEST_DOMAIN = 256
_LONGEST_USER = 104
_has_control = re.compile(r"[\x00-\x1f\x7f]").search
_is_netbios = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_has_bad_character = re.compile(r'["/\\:;|=,+*?<>@\[\]]').search
_is_dots_and_spaces = re.compile(r"[. ]+").fullmatch
_LISTS = ("initContainers", "containers", "ephemeralContainers")


def check_windows_options(options: Object | None, path: str, found: Found) -> None:
    if options is None:
        return
    name, spec, user = (options.get(f) for f in ("gmsaCredentialSpecName", "gmsaCredentialSpec", "runAsUserName"))
    if name is not None:
        check_name(name, f"{path}.gmsaCredentialSpecName", found)
    if spec is not None:
        where = f"{path}.gmsaCredentialSpec"
        if not spec:
            found.append(invalid(where, spec, "gmsaCredentialSpec cannot be an empty string"))
        elif len(spec.encode()) > _LONGEST_SPEC * 1024:
            found.append(invalid(where, spec, f"gmsaCredentialSpec size must be under {_LONGEST_SPEC} KiB"))
    if user is not None:
        found.extend(invalid(f"{path}.runAsUserName", user, f"runAsUserName{why}") for why in _user_errors(user))


def _user_errors(text: str) -> list[str]:
    if not text:
        return [" cannot be an empty string"]
    if _has_control(text):
        return [" cannot contain control characters"]
    parts = text.split("\\")
    if len(parts) > 2:
        return [" cannot contain more than one backslash"]
    domain, user = parts if len(parts) == 2 else ("", text)
    out = []
    if len(domain) >= _LONGEST_DOMAIN:
        out.append(f"'s Domain length must be under {_LONGEST_DOMAIN} characters")
    if len(parts) == 2 and not _is_netbios(domain) and names.dns1123_subdomain(domain.lower()):
        out.append("'s Domain doesn't match the NetBios nor the DNS format")
    if not user:
        out.append("'s User cannot be empty")
    elif len(user) > _LONGEST_USER:
        out.append(f"'s User length must not be longer than {_LONGEST_USER} characters")
    if _is_dots_and_spaces(user):
        out.append("'s User cannot contain only periods or spaces")
    if _has_bad_character(user):
        out.append("'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
    return out


def _host_process(context: Object | None) -> bool | None:
    value: bool | None = ((context or {}).get("windowsOptions") or {}).get("hostProcess")
    return value


def check_host_process(spec: Object, path: str, found: Found) -> None:
    """A pod of host processes is one altogether, and in the host's network."""
    whole = _host_process(spec.get("securityContext"))
    count = of_host = 0
    for field in _LISTS:
        for i, container in enumerate(spec.get(field) or ()):
            own = _host_process(container.get("securityContext"))
            count += 1
            of_host += bool(whole if own is None else own)
            if whole is not None and own is not None and whole != own:
                shown = "true" if whole else "false"
                text = f"pod hostProcess value must be identical if both are specified, was {shown}"
                found.append(invalid(f"{path}.{field}[{i}].securityContext.windowsOptions.hostProcess", own, text))
    if not of_host:
        return
    if of_host != count:
        text = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        found.append(invalid(path, "", text))
    if not spec.get("hostNetwork"):
        text = "hostNetwork must be true if pod contains any hostProcess containers"
        found.append(invalid(f"{path}.hostNetwork", False, text))
