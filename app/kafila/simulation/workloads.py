"""Workloads whose pods run at once: what kube-controller-manager, scheduler and kubelets do, as far as status shows it.

An image in a registry below ``.invalid``, which no registry is, cannot be pulled: its pods wait for ever.
"""

from __future__ import annotations

import zlib
from typing import final

from kafila.core.clock import rfc3339
from kafila.core.conditions import conditions_of, find
from kafila.core.errors import ignoring_not_found
from kafila.core.names import generate_name
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.queue import WorkQueue
from kafila.registry import Options, Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions
from kafila.registry.decoding import decode_object
from kafila.watch import Event

WORKLOADS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "jobs.batch")
OPTIONS = Options(manager="simulation")


@final
class WorkloadSimulator:
    name = "workloads"

    def __init__(self, registry: Registry, nodes: list[str]) -> None:
        self._registry = registry
        self._nodes = nodes
        self._pods = registry.kind("", "v1", "pods")
        self.queue: WorkQueue[Key] = WorkQueue("simulated-workloads", self._reconcile, concurrency=8)
        self.kubelet: WorkQueue[Key] = WorkQueue("simulated-kubelet", self._end_pod, concurrency=8)
        for resource in WORKLOADS:
            registry.cache.listen(resource, self._observe)
        registry.cache.listen("pods", self._observe_pod)

    async def start(self) -> None:
        self.queue.start()
        self.kubelet.start()

    async def stop(self) -> None:
        await self.queue.stop()
        await self.kubelet.stop()

    def _observe(self, event: Event) -> None:
        if event.new is not None:
            self.queue.add(event.key)

    def _observe_pod(self, event: Event) -> None:
        if event.new is not None and event.new.meta.deletionTimestamp:
            self.kubelet.add(event.key)
        pod = event.new or event.old
        for owner in (pod.meta.ownerReferences or ()) if pod is not None and event.new is None else ():
            plural = f"{owner.kind.lower()}s.{owner.apiVersion.partition('/')[0]}"
            self.queue.add(Key(plural, event.key.namespace, owner.name))

    async def _end_pod(self, key: Key) -> None:
        """A kubelet's last word: the containers have ended."""
        with ignoring_not_found():
            await self._registry.delete(self._pods, key.namespace, key.name, DeleteOptions(grace_period=0))

    async def _reconcile(self, key: Key) -> None:
        entry = self._registry.cache.get(*key)
        kind = self._registry.catalog.storage_kind(key.resource)
        if entry is None or kind is None or entry.meta.deletionTimestamp:
            return
        workload = decode_entry(kind, entry)
        wanted = self._replicas(workload)
        pods = [
            p
            for p in self._registry.cache.resource("pods").entries(key.namespace)
            if any(o.uid == entry.meta.uid for o in p.meta.ownerReferences or ())
        ]
        template = workload["spec"]["template"]
        version = f"{zlib.crc32(repr(template).encode()):08x}"
        stale = [p for p in pods if (p.meta.labels or {}).get("pod-template-hash") != version]
        fresh = [p for p in pods if p not in stale]
        for pod in stale + fresh[wanted:]:
            await self._registry.delete(self._pods, key.namespace, pod.key.name, DeleteOptions(grace_period=0))
        for index in range(len(fresh), wanted):
            await self._run_pod(workload, template, version, index)
        status = self._status(workload, wanted, wanted if _is_pulled(template) else 0)

        def observed(obj: Object) -> Object:
            obj["status"] = {**obj.get("status", {}), **status}
            return obj

        await self._registry.modify(kind, key.namespace, key.name, observed, OPTIONS, "status")

    def _replicas(self, workload: Object) -> int:
        spec = workload["spec"]
        if workload["kind"] == "DaemonSet":
            return len(self._nodes)
        if workload["kind"] == "Job":
            done = find(conditions_of(workload), "Complete")
            return 0 if done else spec.get("parallelism", 1)
        return spec.get("replicas", 1)

    async def _run_pod(self, workload: Object, template: Object, version: str, index: int) -> None:
        metadata = workload["metadata"]
        owner = {
            "apiVersion": workload["apiVersion"],
            "kind": workload["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        labels = {**(template.get("metadata") or {}).get("labels", {}), "pod-template-hash": version}
        node = self._nodes[index % len(self._nodes)]
        pod = {
            "metadata": {
                "name": generate_name(f"{metadata['name']}-"),
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [owner],
            },
            "spec": {**template["spec"], "nodeName": node},
        }
        created = await self._registry.create(
            self._pods, metadata["namespace"], decode_object(self._pods, pod, OPTIONS), OPTIONS
        )
        now = rfc3339()
        runs = _is_pulled(template)
        state = {"running": {"startedAt": now}} if runs else {"waiting": {"reason": "ImagePullBackOff"}}
        containers = [
            {
                "name": c["name"],
                "image": c.get("image", ""),
                "imageID": c.get("image", "") if runs else "",
                "ready": runs,
                "restartCount": 0,
                "state": state,
            }
            for c in template["spec"]["containers"]
        ]
        conditions = [
            {"type": kind, "status": str(fine), "lastTransitionTime": now}
            for kind, fine in (("PodScheduled", True), ("Ready", runs))
        ]

        def running(obj: Object) -> Object:
            obj["status"] = {
                "phase": "Running" if runs else "Pending",
                "startTime": now,
                "podIP": f"10.{zlib.crc32(node.encode()) % 200}.0.{index + 1}",
                "conditions": conditions,
                "containerStatuses": containers,
            }
            return obj

        await self._registry.modify(
            self._pods, metadata["namespace"], created.key.name, running, Options(manager="kubelet"), "status"
        )

    def _status(self, workload: Object, wanted: int, ready: int) -> Object:
        generation = workload["metadata"].get("generation", 1)
        now = rfc3339()
        if workload["kind"] == "DaemonSet":
            counts = ("currentNumberScheduled", "desiredNumberScheduled", "updatedNumberScheduled")
            runs = dict.fromkeys(("numberAvailable", "numberReady"), ready)
            return {"observedGeneration": generation, "numberMisscheduled": 0, **runs} | dict.fromkeys(counts, wanted)
        if workload["kind"] == "Job" and ready < wanted:
            return {"active": wanted, "startTime": now}
        if workload["kind"] == "Job":
            done = workload["spec"].get("completions", 1)
            known = (workload.get("status") or {}).get("conditions")
            reached = {"status": "True", "reason": "CompletionsReached", "lastTransitionTime": now}
            finished = [{"type": "SuccessCriteriaMet", **reached}, {"type": "Complete", **reached}]
            return {"succeeded": done, "startTime": now, "completionTime": now, "conditions": known or finished}
        status: Object = {"observedGeneration": generation, "replicas": wanted, "readyReplicas": ready}
        if workload["kind"] != "ReplicaSet":
            status |= {"updatedReplicas": wanted}
        status["availableReplicas"] = ready
        if workload["kind"] == "Deployment":
            status["conditions"] = _with_available(workload, ready >= wanted, now)
        return status


def _with_available(workload: Object, available: bool, now: str) -> list[Object]:
    """A Deployment's conditions."""
    known: list[Object] = list((workload.get("status") or {}).get("conditions") or ())
    reason, says = ("MinimumReplicasAvailable", "has") if available else ("MinimumReplicasUnavailable", "does not have")
    kept = [each for each in known if each["type"] == "Available" and each.get("reason") == reason]
    return kept or [
        {
            "type": "Available",
            "status": str(available),
            "reason": reason,
            "message": f"Deployment {says} minimum availability.",
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        }
    ]


def _is_pulled(template: Object) -> bool:
    """Whether all images of a pod can be had."""
    images = (each.get("image", "") for each in template["spec"].get("containers") or ())
    return not any(image.partition("/")[0].partition(":")[0].endswith(".invalid") for image in images)
