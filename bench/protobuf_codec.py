"""Microseconds of the protobuf codec on a Deployment as client-go sends it: ``python bench/protobuf_codec.py``.

Beside it the price of the JSON that it replaces, and of a list and a watch frame.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from typing import Any

import orjson

from kafila.catalog.protobuf import codec
from kafila.machinery.protobuf import decode_envelope, watch_frame

UNSET_METADATA = {"generateName": "", "selfLink": "", "uid": "", "resourceVersion": "", "generation": 0}
PROBE = {
    "initialDelaySeconds": 5,
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}


def probe(path: str, port: int | str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port, "host": "", "scheme": "HTTP"}} | PROBE


def mount(name: str, path: str, read_only: bool) -> dict[str, Any]:
    return {"name": name, "readOnly": read_only, "mountPath": path, "subPath": "", "subPathExpr": ""}


CONTAINER = {
    "name": "web",
    "image": "registry.example.com/team/web:1.2.3",
    "workingDir": "",
    "command": ["/bin/web"],
    "args": ["--port=8080", "--verbose"],
    "ports": [{"name": "http", "hostPort": 0, "containerPort": 8080, "protocol": "TCP", "hostIP": ""}],
    "env": [
        {"name": "MODE", "value": "production"},
        {"name": "POD", "value": "", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "KEY", "value": "", "valueFrom": {"secretKeyRef": {"name": "web", "key": "key"}}},
    ],
    "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
    "volumeMounts": [mount("config", "/etc/web", True), mount("tmp", "/tmp", False)],
    "livenessProbe": probe("/healthz", "http"),
    "readinessProbe": probe("/ready", 8080),
    "terminationMessagePath": "/dev/termination-log",
    "imagePullPolicy": "IfNotPresent",
    "stdin": False,
    "stdinOnce": False,
    "tty": False,
    "terminationMessagePolicy": "File",
}
POD_SPEC = {
    "volumes": [
        {"name": "config", "configMap": {"name": "web", "defaultMode": 420}},
        {"name": "tmp", "emptyDir": {"medium": ""}},
    ],
    "containers": [CONTAINER],
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "web",
    "nodeName": "",
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "securityContext": {"runAsNonRoot": True, "fsGroup": 1000},
    "hostname": "",
    "subdomain": "",
    "schedulerName": "default-scheduler",
    "priorityClassName": "",
}
LABELS = {"app": "web", "app.kubernetes.io/name": "web", "tier": "front"}
MANAGED = {
    "manager": "kubectl",
    "operation": "Update",
    "apiVersion": "apps/v1",
    "time": "2026-01-02T03:04:05Z",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {}}}}},
}
DEPLOYMENT: dict[str, Any] = {
    "metadata": UNSET_METADATA
    | {"name": "web", "namespace": "default", "labels": LABELS, "managedFields": [MANAGED]}
    | {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x" * 900}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": UNSET_METADATA | {"name": "", "namespace": "", "labels": LABELS}, "spec": POD_SPEC},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "minReadySeconds": 0,
        "revisionHistoryLimit": 10,
        "paused": False,
        "progressDeadlineSeconds": 600,
    },
    "status": {"observedGeneration": 0, "replicas": 0, "updatedReplicas": 0, "availableReplicas": 0},
}


def microseconds(work: Callable[[], object], times: int = 1000) -> float:
    return min(timeit.repeat(work, number=times, repeat=5)) / times * 1e6


def main() -> None:
    began = time.perf_counter()
    one = codec("apps", "v1", "Deployment")
    assert one is not None
    loaded = time.perf_counter()
    raw = one.encode(DEPLOYMENT)
    obj = one.decode(raw)
    used = time.perf_counter()
    body, json = one.envelope(raw), orjson.dumps(obj)
    print(f"load the table {(loaded - began) * 1e3:.1f} ms, first encode and decode {(used - loaded) * 1e3:.1f} ms")
    print(f"Deployment: {len(raw)} bytes of protobuf, {len(json)} of JSON")
    for name, work in (
        ("decode_envelope", lambda: decode_envelope(body)),
        ("decode", lambda: one.decode(raw)),
        ("encode", lambda: one.encode(obj)),
        ("envelope", lambda: one.envelope(raw)),
        ("watch_frame", lambda: watch_frame("ADDED", body)),
        ("orjson.loads", lambda: orjson.loads(json)),
        ("orjson.dumps", lambda: orjson.dumps(obj)),
    ):
        print(f"{name:34} {microseconds(work):7.1f} µs")


if __name__ == "__main__":
    main()
