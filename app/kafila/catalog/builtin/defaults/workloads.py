"""Kinds of apps and batch, and the older core kinds that hold a pod template."""

from __future__ import annotations

from typing import Any

from kafila.core.values import Object

from .common import fill, part_of
from .pods import default_claim_spec, default_pod_template

MAX_INT32 = 2**31 - 1


def _default_rolling_update(strategy: Object, **scalars: Any) -> None:
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        fill(part_of(strategy, "rollingUpdate"), **scalars)


def default_deployment(obj: Object) -> None:
    spec = part_of(obj, "spec")
    default_pod_template(spec.get("template"))
    fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    _default_rolling_update(part_of(spec, "strategy"), maxUnavailable="25%", maxSurge="25%")


def default_daemon_set(obj: Object) -> None:
    metadata = obj.setdefault("metadata", {})
    annotations = metadata["annotations"] = metadata.get("annotations") or {}
    annotations.setdefault("deprecated.daemonset.template.generation", "0")  # whoever writes it owns this annotation
    spec = part_of(obj, "spec")
    default_pod_template(spec.get("template"))
    _default_rolling_update(part_of(spec, "updateStrategy"), maxUnavailable=1, maxSurge=0)
    fill(spec, revisionHistoryLimit=10)


def default_stateful_set(obj: Object) -> None:
    spec = part_of(obj, "spec")
    default_pod_template(spec.get("template"))
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = part_of(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        part_of(strategy, "rollingUpdate")
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "RollingUpdate" and rolling is not None and rolling.get("partition") is None:
        rolling["partition"] = 0
    retention = part_of(spec, "persistentVolumeClaimRetentionPolicy")
    for field in ("whenDeleted", "whenScaled"):
        if not retention.get(field):
            retention[field] = "Retain"
    fill(spec, replicas=1, revisionHistoryLimit=10)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("apiVersion", "v1")
        default_claim_spec(part_of(claim, "spec"))
        status = part_of(claim, "status")
        if not status.get("phase"):
            status["phase"] = "Pending"


def default_replica_set(obj: Object) -> None:
    spec = part_of(obj, "spec")
    default_pod_template(spec.get("template"))
    fill(spec, replicas=1)


def default_replication_controller(obj: Object) -> None:
    spec = part_of(obj, "spec")
    template = spec.get("template")
    default_pod_template(template)
    fill(spec, replicas=1)
    labels = ((template or {}).get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        _default_labels(obj, labels)


def default_pod_template_kind(obj: Object) -> None:
    default_pod_template(obj.get("template"))


def _default_labels(obj: Object, labels: dict[str, str]) -> None:
    metadata = obj.setdefault("metadata", {})
    if not metadata.get("labels"):
        # the same dict, not a copy: the labels a Job generates for its template show up on the Job too, as in Kubernetes
        metadata["labels"] = labels


def default_job_spec(spec: Object) -> None:
    """What applies to a Job's spec also inside a CronJob: only the pods of it."""
    default_pod_template(spec.get("template"))
    policy = spec.get("podFailurePolicy")
    if policy:
        for rule in policy.get("rules") or ():
            for pattern in rule.get("onPodConditions") or ():
                if not pattern.get("status"):
                    pattern["status"] = "True"


def default_job(obj: Object) -> None:
    spec = part_of(obj, "spec")
    default_job_spec(spec)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill(
        spec,
        parallelism=1,
        backoffLimit=6 if spec.get("backoffLimitPerIndex") is None else MAX_INT32,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed",
        manualSelector=False,
    )
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        _default_labels(obj, labels)


def default_cron_job(obj: Object) -> None:
    spec = part_of(obj, "spec")
    template = spec.get("jobTemplate")
    if template is not None:
        inner = template.get("spec")
        if inner is not None:
            default_job_spec(inner)
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    fill(spec, suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
