"""Rows of pods and of their templates."""

from __future__ import annotations

from typing import Any

from kafila.core.conditions import is_true
from kafila.core.values import Object

from .common import (
    NONE,
    Row,
    age,
    container_cells,
    format_labels,
    name_of,
    since,
    spec_and_status,
)


class _Restarts:
    """How often containers started again, and when the last one ended before."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def add(self, status: Object) -> None:
        self.count += status.get("restartCount") or 0
        ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        self.last = max(self.last, ended)  # RFC 3339 in UTC sorts by time

    def text(self, now: float) -> str:
        return f"{self.count} ({since(self.last, now)} ago)" if self.count and self.last else str(self.count)


def _terminated_reason(ended: Object) -> str:
    if ended.get("reason"):
        return ended["reason"]
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode') or 0}"


def _init_state(spec: Object, status: Object, restarts: _Restarts, sidecars: _Restarts) -> tuple[str, int]:
    """Why the pod still initializes ("" when it does not), and how many sidecars are ready."""
    init = {container.get("name"): container for container in spec.get("initContainers") or ()}
    ready = 0
    for i, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts.add(container)
        is_sidecar = (init.get(container.get("name")) or {}).get("restartPolicy") == "Always"
        if is_sidecar:
            sidecars.add(container)
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended is not None and not ended.get("exitCode"):
            continue
        if is_sidecar and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        if ended is not None:
            return f"Init:{_terminated_reason(ended)}", ready
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}", ready
        return f"Init:{i}/{len(init)}", ready
    return "", ready


def _running_state(status: Object, reason: str, restarts: _Restarts) -> tuple[str, int]:
    """What the containers make of ``reason``, and how many of them are ready."""
    ready, running, failed = 0, False, ""
    for container in reversed(status.get("containerStatuses") or []):
        restarts.add(container)
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            reason = _terminated_reason(ended)
            if ended.get("exitCode"):
                failed = reason
        elif container.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed":
        if running and is_true(status.get("conditions"), "Ready"):
            reason = "Running"
        elif failed:
            reason = failed
        elif running:
            reason = "NotReady"
    return reason, ready


def pod(obj: Object, now: float) -> list[Any]:
    spec, status = spec_and_status(obj)
    phase = status.get("phase") or ""
    reason = status.get("reason") or phase
    if any(
        c.get("type") == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in status.get("conditions") or ()
    ):
        reason = "SchedulingGated"
    total = len(spec.get("containers") or ())
    total += sum(c.get("restartPolicy") == "Always" for c in spec.get("initContainers") or ())
    restarts, sidecars = _Restarts(), _Restarts()
    initializing, ready = _init_state(spec, status, restarts, sidecars)
    if initializing:
        reason = initializing
    if not initializing or is_true(status.get("conditions"), "Initialized"):
        restarts = sidecars
        reason, more = _running_state(status, reason, restarts)
        ready += more
    if (obj.get("metadata") or {}).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    addresses = status.get("podIPs") or ()
    return [
        name_of(obj),
        f"{ready}/{total}",
        reason,
        restarts.text(now),
        age(obj, now),
        (addresses[0].get("ip") if addresses else "") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def _gates(spec: Object, status: Object) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    met = sum(is_true(status.get("conditions"), gate.get("conditionType") or "") for gate in gates)
    return f"{met}/{len(gates)}"


def pod_template(obj: Object, now: float) -> list[Any]:
    template = obj.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    return [name_of(obj), *container_cells((template.get("spec") or {}).get("containers")), format_labels(labels)]


ROWS = {
    "Pod": Row(
        "Name | Ready | Status | Restarts | Age | IP^1 | Node^1 | Nominated Node^1 | Readiness Gates^1",
        pod,
    ),
    "PodTemplate": Row("Name | Containers | Images | Pod Labels", pod_template),
}
