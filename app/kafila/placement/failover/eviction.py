"""Leaving a cluster: the resource is scheduled elsewhere first, and removed here once that runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, final

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.names import label_value
from kafila.core.values import AnyObject
from kafila.machinery.jsonpath import JSONPathError, Looks, compile_path, text_of
from kafila.placement import constants
from kafila.placement.spec import targets
from kafila.placement.types import Binding, GracefulEvictionTask, ResourceBindingSpec, ResourceBindingStatus

_PATH: Final = re.compile(r"\{([^{}]*)\}")
_SHOWN: Final = 80  # characters of what a member reports, in a message


@final
class EvictionRefused(ValueError):
    """A copy is to leave a cluster and cannot yet: the text says why."""

    expected = True  # a part of life: it needs no traceback


def evict(
    binding_spec: ResourceBindingSpec,
    cluster: str,
    now: float,
    *,
    reason: str,
    producer: str,
    purge_mode: str = "",
    message: str = "",
    grace_period_seconds: int | None = None,
    suppress_deletion: bool | None = None,
    preserved_labels: Mapping[str, str] | None = None,
    clusters_before: Sequence[str] = (),
) -> ResourceBindingSpec:
    """The spec with ``cluster`` moved from ``clusters`` to ``gracefulEvictionTasks``; the same object if it is not there.

    The task is stamped with its start at once: in Karmada another controller does that, in a write of its own.
    """
    leaving = next((target for target in targets(binding_spec) if target["name"] == cluster), None)
    if leaving is None:
        return binding_spec
    spec: ResourceBindingSpec = {
        **binding_spec,
        "clusters": [target for target in targets(binding_spec) if target is not leaving],
    }
    if not spec["clusters"]:
        del spec["clusters"]
    tasks = list(binding_spec.get("gracefulEvictionTasks") or ())
    if any(task.get("fromCluster") == cluster for task in tasks):
        return spec
    task: GracefulEvictionTask = {"fromCluster": cluster, "reason": reason, "producer": producer}
    optional: dict[str, Any] = {
        "purgeMode": purge_mode or None,
        "message": message or None,
        "replicas": leaving.get("replicas") or None,
        "gracePeriodSeconds": grace_period_seconds,
        "suppressDeletion": suppress_deletion,
        "preservedLabelState": dict(preserved_labels or {}) or None,
        "creationTimestamp": rfc3339(now),
        "clustersBeforeFailover": list(clusters_before) or None,
    }
    given = {field: value for field, value in optional.items() if value is not None}
    spec["gracefulEvictionTasks"] = [*tasks, cast(GracefulEvictionTask, task | given)]
    return spec


def evicted_event(cluster: str, failed: bool = False) -> tuple[str, str, str]:
    """(type, reason, message), on the binding and on the template."""
    if failed:
        return "Warning", constants.EVENT_EVICT_FAILED, f"Evict from cluster {cluster} failed."
    return "Normal", constants.EVENT_EVICT, f"Evict from cluster {cluster} succeed."


def remaining_tasks(binding: Binding, timeout: float, now: float) -> tuple[list[GracefulEvictionTask], list[str]]:
    """The tasks that are kept, stamped with their start, and the clusters whose task is done. Times in seconds.

    A task ends when its deletion is not suppressed any more, when its time is up, or when the binding is scheduled and healthy
    in every cluster that it has now.
    """
    spec, status = binding.get("spec") or {}, binding.get("status") or {}
    settled = _is_settled(binding, spec, status)
    kept: list[GracefulEvictionTask] = []
    done: list[str] = []
    for task in spec.get("gracefulEvictionTasks") or ():
        started = task.get("creationTimestamp")
        if not started:
            kept.append({**task, "creationTimestamp": rfc3339(now)})
        elif _is_done(task, parse_rfc3339(started), timeout, now, settled):
            done.append(task.get("fromCluster", ""))
        else:
            kept.append(task)
    return kept, done


def _is_done(task: GracefulEvictionTask, started: float, timeout: float, now: float, settled: bool) -> bool:
    suppressed = task.get("suppressDeletion")
    if suppressed is not None:
        return not suppressed
    allowed = task.get("gracePeriodSeconds")
    return settled or now > started + (timeout if allowed is None else allowed)


def _is_settled(binding: Binding, spec: ResourceBindingSpec, status: ResourceBindingStatus) -> bool:
    if (status.get("schedulerObservedGeneration") or 0) != ((binding.get("metadata") or {}).get("generation") or 0):
        return False
    health = {item.get("clusterName"): item.get("health") for item in status.get("aggregatedStatus") or ()}
    return all(health.get(target["name"]) == constants.HEALTHY for target in targets(spec))


def next_check(tasks: Sequence[GracefulEvictionTask], timeout: float, now: float) -> float | None:
    """Seconds until the first of the tasks times out; None when users end all of them by hand."""
    waits = [
        parse_rfc3339(task["creationTimestamp"])
        + (timeout if task.get("gracePeriodSeconds") is None else task["gracePeriodSeconds"])
        - now
        for task in tasks
        if task.get("suppressDeletion") is None and task.get("creationTimestamp")
    ]
    return max(min(waits), 0.0) if waits else None


def preserved_state(failover: AnyObject, status: ResourceBindingStatus, cluster: str) -> dict[str, str]:
    """Labels that the copy in the next cluster gets, taken from what ``cluster`` reported. Raises EvictionRefused.

    What is no value of a label is refused here: no member would take the copy that has it.
    """
    rules = (failover.get("statePreservation") or {}).get("rules") or ()
    if not rules:
        return {}
    item = next((i for i in status.get("aggregatedStatus") or () if i.get("clusterName") == cluster), None)
    if item is None or item.get("status") is None:
        raise EvictionRefused(f"the application status has not yet been collected from Cluster({cluster})")
    looks = Looks()  # for all of them: a policy may have any number
    return {rule["aliasLabelName"]: _label_value(rule["jsonPath"], item["status"], looks) for rule in rules}


def _label_value(path: str, found: Any, looks: Looks) -> str:
    value = _printed(path, found, looks)
    if wrong := label_value(value):
        raise EvictionRefused(f'jsonpath "{path}" gives {value[:_SHOWN]!r}, which is no value of a label: {wrong[0]}')
    return value


def _printed(template: str, found: Any, looks: Looks) -> str:
    """``{.a}-{.b}`` as kubectl prints it; without braces it is one path. What is missing is an error."""
    template = template.strip()
    if "{" not in template:
        return _results(template, template, found, looks)
    return _PATH.sub(lambda each: _results(each[1], template, found, looks), template)


def _results(path: str, template: str, found: Any, looks: Looks) -> str:
    """As much of it as is shown: more is no value of a label."""
    try:
        results = compile_path(path.strip()).find(found, looks)
    except JSONPathError as error:
        raise EvictionRefused(f'failed to execute jsonpath "{template}": {error}') from None
    if not results:
        raise EvictionRefused(f'failed to execute jsonpath "{template}": {path.strip(" .")} is not found')
    text = ""
    for number, result in enumerate(results):
        text += f"{' ' if number else ''}{text_of(result)[:_SHOWN]}"
        if len(text) >= _SHOWN:
            break
    return text
