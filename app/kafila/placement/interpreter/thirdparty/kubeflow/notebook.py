"""kubeflow.org/v1 Notebook: one pod."""

from __future__ import annotations

from typing import Any, Final

from kafila.core.values import nested
from kafila.placement.interpreter.thirdparty.calls import Needs, ThirdParty
from kafila.placement.interpreter.thirdparty.statuses import stamped
from kafila.placement.interpreter.thirdparty.values import at, counted, find, is_table, is_true, less, same, text

_STAMPS: Final = ("lastProbeTime", "lastTransitionTime")
_FAILURES: Final = ("Error", "OOMKilled", "ContainerCannotRun")


def _replicas(obj: Any, needs: Needs) -> tuple[Any, Any]:
    return 1, needs(at(obj, "spec", "template"))


def _is_healthy(obj: Any) -> bool:
    """It runs, is about to, or has ended well."""
    state = find(obj, "status", "containerState")
    if state is None:
        return False
    if at(state, "running") is not None:
        return True
    waiting, terminated = at(state, "waiting"), at(state, "terminated")
    if waiting is not None:
        return bool(at(waiting, "reason") == "ContainerCreating")
    if terminated is None:
        return False
    code = at(terminated, "exitCode")
    return at(terminated, "reason") not in _FAILURES and (not is_true(code) or same(code, 0))


def _reflect(obj: Any) -> Any:
    status = at(obj, "status")
    if status is None:
        return {}
    ready, state, conditions = (at(status, field) for field in ("readyReplicas", "containerState", "conditions"))
    return {
        "readyReplicas": ready if is_true(ready) else 0,
        "containerState": state if is_true(state) else {},
        "conditions": conditions if is_table(conditions) else [],
    }


def _aggregate(obj: Any, items: Any) -> Any:
    """Of one member its status; of several ready when it is so everywhere, failed when it is anywhere."""
    if items is None:
        return at(obj, "status")
    if len(items) == 1:
        return at(items[0], "status")
    ready: Any = 0
    failed: list[str] = []
    running = 0
    state: Any = None
    for item in items:
        status = at(item, "status")
        if status is None:
            continue
        ready += counted(status, "readyReplicas")
        found = at(status, "containerState")
        if _has_failed(found):
            failed.append(text(at(item, "clusterName")))
            state = found or {"waiting": {"reason": "Unschedulable"}}
        elif at(found, "running") is not None and not failed:
            running += 1
            state = _latest(state, at(found, "running", "startedAt"))
    conditions = _conditions(failed, 0 < running == len(items), nested(obj, "status", "conditions"))
    return {"readyReplicas": ready, "containerState": state, "conditions": conditions}


def _has_failed(state: Any) -> bool:
    if state is None or (is_table(state) and not state):
        return True
    return at(state, "terminated") is not None or at(state, "waiting") is not None


def _latest(state: Any, started: Any) -> Any:
    before = state["running"]["startedAt"] if state is not None else None
    if state is not None and (started is None or (before is not None and not less(before, started))):
        return state
    return {"running": {"startedAt": started}}


def _conditions(failed: list[str], all_run: bool, before: Any) -> list[Any]:
    found = []
    if failed:
        message = f"Notebook executed failed in member clusters: {', '.join(failed)}"
        found.append({"type": "Failed", "status": "True", "reason": "NotebookFailed", "message": message})
    if all_run:
        found.append({"type": "Ready", "status": "True", "reason": "Ready", "message": "All notebooks are ready"})
    known = [each for each in before if isinstance(each, dict)] if isinstance(before, list) else []
    by_type = {str(each.get("type")): each for each in known}
    return [stamped(each, by_type.get(each["type"]), *_STAMPS) for each in found]


NOTEBOOK: Final = ThirdParty(replicas=_replicas, aggregate=_aggregate, reflect=_reflect, health=_is_healthy)
