"""The specification of a Ray cluster, which all of KubeRay's kinds have somewhere: a head, and groups of workers."""

from __future__ import annotations

from typing import Any

from kafila.placement.interpreter.thirdparty.calls import Needs
from kafila.placement.interpreter.thirdparty.references import (
    References,
    add_account,
    add_containers,
    add_pull_secrets,
    add_volumes,
)
from kafila.placement.interpreter.thirdparty.values import at, find, is_empty, is_true, items, values


def components(cluster: Any, needs: Needs) -> list[Any]:
    """``cluster``: its specification, None for none."""
    found: list[Any] = []
    head = find(cluster, "headGroupSpec", "template")
    if head is not None:
        found.append({"name": "ray-head", "replicas": 1, "replicaRequirements": needs(head)})
    groups = find(cluster, "workerGroupSpecs")
    for index, group in enumerate(items(groups, "workerGroupSpecs") if groups is not None else (), start=1):
        name, replicas, template = (at(group, field) for field in ("groupName", "replicas", "template"))
        found.append(
            {
                "name": f"worker-{index}" if is_empty(name) else name,
                "replicas": replicas if is_true(replicas) else 0,
                "replicaRequirements": needs(template) if template is not None else None,
            }
        )
    return found


def add_cluster(found: References, cluster: Any) -> None:
    """What head and workers refer to."""
    add_pod(found, find(cluster, "headGroupSpec", "template", "spec"))
    groups = find(cluster, "workerGroupSpecs")
    for group in values(groups, "workerGroupSpecs") if groups is not None else ():
        template = at(group, "template")
        add_pod(found, find(template, "spec"))


def add_pod(found: References, pod: Any) -> None:
    if pod is None:
        return
    add_account(found, at(pod, "serviceAccountName"))
    add_pull_secrets(found, at(pod, "imagePullSecrets"))
    add_volumes(found, at(pod, "volumes"), secret_name="secretName")
    add_containers(found, at(pod, "containers"))
    add_containers(found, at(pod, "initContainers"))
