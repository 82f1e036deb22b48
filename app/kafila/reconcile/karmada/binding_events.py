"""Events about bindings and Works that several controllers record."""

from __future__ import annotations

import structlog

from kafila.placement import constants
from kafila.placement.types import Binding, Work
from kafila.reconcile.events import Recorder

from .clusters import Clusters

log = structlog.get_logger(__name__)


def record_for_binding(recorder: Recorder, binding: Binding, event_type: str, reason: str, message: str) -> None:
    """An event on the binding and on its template."""
    recorder.event(binding, event_type, reason, message)
    resource = binding["spec"]["resource"]
    metadata = {key: resource[key] for key in ("namespace", "name", "uid", "resourceVersion") if resource.get(key)}
    template = {"apiVersion": resource["apiVersion"], "kind": resource["kind"], "metadata": metadata}
    recorder.event(template, event_type, reason, message)


def record_left_behind(
    recorder: Recorder, clusters: Clusters, cluster: str, work: Work, why: str = "it is not ready"
) -> None:
    """Says that a copy stays in a cluster that leaves and cannot be asked, as in Karmada."""
    found = clusters.get(cluster)
    if (work.get("spec") or {}).get("preserveResourcesOnDeletion"):
        return
    for manifest in ((work.get("spec") or {}).get("workload") or {}).get("manifests") or ():
        metadata = manifest["metadata"]
        copy = f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        log.warning("left behind in a cluster that left", cluster=cluster, copy=copy)
        if found is not None:
            message = f"{copy} stays in cluster {cluster}, which is being removed: {why}"
            recorder.event(found, "Warning", constants.EVENT_COPY_LEFT_BEHIND, message)
