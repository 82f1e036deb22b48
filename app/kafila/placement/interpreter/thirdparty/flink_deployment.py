"""flink.apache.org/v1beta1 FlinkDeployment: a job manager and task managers."""

from __future__ import annotations

import math
from typing import Any, Final

from kafila.placement.interpreter import kube

from .calls import Needs, ThirdParty
from .pods import claim_of
from .statuses import picked, reflecting
from .values import at, find, is_empty, is_true, number, number_or, own_map, text

# A job that cannot start for one of these has failed by its user's mistake, and would in any other cluster.
_MISTAKES: Final = ("ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff")
_GOING: Final = frozenset(
    {"RUNNING", "FINISHED", "FAILED", "CANCELED", "SUSPENDED", "CANCELLING", "FAILING", "RESTARTING"}
)
_STARTING: Final = frozenset({"CREATED", "INITIALIZING", "RECONCILING"})
_FIELDS: Final = (
    "clusterInfo",
    "error",
    "jobManagerDeploymentStatus",
    "jobStatus",
    "observedGeneration",
    "lifecycleState",
    "reconciliationStatus",
    "taskManager",
)
_NOTHING: Final = {"error": "", "jobManagerDeploymentStatus": "", "lifecycleState": "", "observedGeneration": 0}


def _is_healthy(obj: Any) -> bool:
    """Running, over, or on its way there; or what keeps it from starting is no fault of the cluster."""
    status = at(obj, "status")
    status = status if is_true(status) else {}
    job = at(status, "jobStatus")
    state = at(job, "state") if is_true(job) else None
    if state is None:
        return at(status, "jobManagerDeploymentStatus") == "READY" and at(status, "lifecycleState") == "STABLE"
    if not isinstance(state, str) or state not in _STARTING:
        return isinstance(state, str) and state in _GOING
    error = at(status, "error")
    return is_true(error) and error != "" and any(each in text(error, "status.error") for each in _MISTAKES)


def _managers(obj: Any) -> tuple[Any, Any]:
    """How many job managers and task managers; these are as many as its parallelism needs, when it does not say."""
    jobs = number_or(find(obj, "spec", "jobManager", "replicas"), 1)
    tasks = number_or(find(obj, "spec", "taskManager", "replicas"), None)
    if tasks is None:
        parallelism = number_or(find(obj, "spec", "job", "parallelism"), None)
        slots = number_or(find(obj, "spec", "flinkConfiguration", "taskmanager.numberOfTaskSlots"), None)
        tasks = 1 if parallelism is None or not slots else math.ceil(parallelism / slots)
    return jobs, tasks


def _components(obj: Any, needs: Needs) -> Any:
    jobs, tasks = _managers(obj)
    return [_component(obj, "jobManager", jobs), _component(obj, "taskManager", tasks)]


def _component(obj: Any, manager: str, replicas: Any) -> Any:
    memory = find(obj, "spec", manager, "resource", "memory")
    request = {
        "cpu": find(obj, "spec", manager, "resource", "cpu"),
        "memory": kube.get_resource_quantity(memory) if memory is not None else None,
    }
    requirements = {"resourceRequest": request, **claim_of(find(obj, "spec", "podTemplate", "spec"))}
    return {"name": manager.lower(), "replicas": replicas, "replicaRequirements": requirements}


def _replicas(obj: Any, needs: Needs) -> tuple[Any, Any]:
    """All managers, as if each needed what the largest does."""
    jobs, tasks = _managers(obj)
    requirements = {
        "resourceRequest": {"cpu": _most_cpu(obj), "memory": _most_memory(obj)},
        **claim_of(find(obj, "spec", "podTemplate", "spec")),
    }
    namespace = find(obj, "metadata", "namespace")
    if not is_empty(namespace):
        requirements["namespace"] = namespace
    return jobs + tasks, requirements


def _of_managers(obj: Any, resource: str) -> list[Any]:
    """What job manager and task manager ask for, as far as they do."""
    found = (find(obj, "spec", manager, "resource", resource) for manager in ("jobManager", "taskManager"))
    return [amount for amount in found if amount is not None]


def _most_cpu(obj: Any) -> Any:
    found = _of_managers(obj, "cpu")
    return max(number(each, "cpu") for each in found) if len(found) > 1 else next(iter(found), None)


def _most_memory(obj: Any) -> Any:
    found = _of_managers(obj, "memory")
    if len(found) < 2:
        return next(iter(found), None)
    jobs, tasks = found
    return jobs if kube.get_resource_quantity(jobs) > kube.get_resource_quantity(tasks) else tasks


def _aggregate(obj: Any, items: Any) -> Any:
    """A deployment runs in one cluster: the last status counts."""
    if items is None:
        return at(obj, "status")
    old = own_map(obj, "status") if at(obj, "status") is not None else {}
    statuses = [status for item in items if (status := at(item, "status")) is not None]
    found = {field: _NOTHING.get(field) for field in _FIELDS}
    for status in statuses:
        found = picked(status, _FIELDS)
    return {**old, **found}


FLINK_DEPLOYMENT: Final = ThirdParty(
    replicas=_replicas,
    components=_components,
    aggregate=_aggregate,
    reflect=reflecting(*_FIELDS),
    health=_is_healthy,
)
