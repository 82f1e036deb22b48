"""Probes and lifecycle hooks of a container. ``grace`` is the pod's terminationGracePeriodSeconds."""

from __future__ import annotations

from kafila.core import names
from kafila.core.values import Object

from .common import Found, check_port_or_name, forbidden, invalid, not_supported, required

_PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")


def check_life(container: Object, path: str, found: Found, grace: int | None) -> None:
    lifecycle = container.get("lifecycle")
    if lifecycle:
        for field in ("postStart", "preStop"):
            hook = lifecycle.get(field)
            if hook is not None:
                _check_handler(hook, _HOOK_HANDLERS, f"{path}.lifecycle.{field}", found, grace)
    for field in PROBES:
        probe = container.get(field)
        if probe is not None:
            _check_probe(probe, field, f"{path}.{field}", found, grace)


def _check_probe(probe: Object, field: str, path: str, found: Found, grace: int | None) -> None:
    _check_handler(probe, _PROBE_HANDLERS, path, found, grace)
    for number in _PROBE_NUMBERS:
        value = probe.get(number)
        if value and value < 0:
            found.append(invalid(f"{path}.{number}", value, names.NOT_NEGATIVE))
    own = probe.get("terminationGracePeriodSeconds")
    if own is not None and own <= 0:
        found.append(invalid(f"{path}.terminationGracePeriodSeconds", own, "must be greater than 0"))
    if field == "readinessProbe":
        if own is not None:
            text = "must not be set for readinessProbes"
            found.append(invalid(f"{path}.terminationGracePeriodSeconds", own, text))
    elif probe.get("successThreshold") != 1:
        found.append(invalid(f"{path}.successThreshold", probe.get("successThreshold") or 0, "must be 1"))


def _check_handler(handler: Object, kinds: tuple[str, ...], path: str, found: Found, grace: int | None) -> None:
    given = 0
    for kind in kinds:
        action = handler.get(kind)
        if action is None:
            continue
        given += 1
        if given > 1:
            found.append(forbidden(f"{path}.{kind}", "may not specify more than 1 handler type"))
        elif kind == "exec":
            if not action.get("command"):
                found.append(required(f"{path}.exec.command"))
        elif kind == "httpGet":
            _check_http_get(action, f"{path}.httpGet", found)
        elif kind == "sleep":
            seconds = action.get("seconds") or 0
            if grace is not None and not 0 <= seconds <= grace:
                text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                found.append(invalid(f"{path}.sleep", seconds, text))
        else:
            check_port_or_name(action.get("port"), f"{path}.{kind}.port", found)
    if not given:
        found.append(required(path, "must specify a handler type"))


def _check_http_get(action: Object, path: str, found: Found) -> None:
    if not action.get("path"):
        found.append(required(f"{path}.path"))
    check_port_or_name(action.get("port"), f"{path}.port", found)
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        found.append(not_supported(f"{path}.scheme", action.get("scheme") or "", ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or ():
        for why in names.http_header(header.get("name") or ""):
            found.append(invalid(f"{path}.httpHeaders", header.get("name") or "", why))
