"""ray.io/v1 RayJob."""

from __future__ import annotations

from typing import Any, Final

from kafila.placement.interpreter.thirdparty.calls import Needs, ThirdParty
from kafila.placement.interpreter.thirdparty.references import References
from kafila.placement.interpreter.thirdparty.values import at, find, is_empty, own_map

from . import clusters

# of several members the worst counts
_DEPLOYMENT: Final = {
    "": 0,
    "Initializing": 1,
    "Waiting": 2,
    "Suspending": 3,
    "Suspended": 3,
    "Retrying": 4,
    "Running": 5,
    "Complete": 6,
    "ValidationFailed": 7,
    "Failed": 8,
}
_JOB: Final = {"": 0, "PENDING": 1, "RUNNING": 2, "SUCCEEDED": 3, "STOPPED": 4, "FAILED": 5}


def _components(obj: Any, needs: Needs) -> Any:
    return clusters.components(find(obj, "spec", "rayClusterSpec"), needs)


def _is_healthy(obj: Any) -> bool:
    """It runs, or has run to its end; what is still being made does not count."""
    status = at(obj, "status")
    if status is None:
        return False
    deployment, job = at(status, "jobDeploymentStatus"), at(status, "jobStatus")
    return bool(deployment == "Running" or (deployment == "Complete" and job == "SUCCEEDED"))


def _aggregate(obj: Any, items: Any) -> Any:
    if items is None:
        return at(obj, "status")
    if len(items) == 1:
        return at(items[0], "status")
    found: dict[str, Any] = dict.fromkeys(("jobStatus", "jobDeploymentStatus", "reason", "message"))
    worst_deployment = worst_job = -1
    for item in items:
        status = at(item, "status")
        if status is None:
            continue
        deployment, job = at(status, "jobDeploymentStatus"), at(status, "jobStatus")
        if deployment is not None and _rank(_DEPLOYMENT, deployment) > worst_deployment:
            worst_deployment = _rank(_DEPLOYMENT, deployment)
            found.update(jobDeploymentStatus=deployment, reason=at(status, "reason"), message=at(status, "message"))
        if not is_empty(job) and _rank(_JOB, job) > worst_job:
            worst_job, found["jobStatus"] = _rank(_JOB, job), job
    old = own_map(obj, "status") if at(obj, "status") is not None else {}
    return {**old, **found}


def _rank(ranks: dict[str, int], state: Any) -> int:
    return ranks.get(state, 0) if isinstance(state, str) else 0


def _dependencies(obj: Any) -> Any:
    """Of the cluster that is made for the job, and of the pod that submits it."""
    found = References()
    clusters.add_cluster(found, find(obj, "spec", "rayClusterSpec"))
    clusters.add_pod(found, find(obj, "spec", "submitterPodTemplate", "spec"))
    return found.of(obj)


RAY_JOB: Final = ThirdParty(
    components=_components, aggregate=_aggregate, health=_is_healthy, dependencies=_dependencies
)
