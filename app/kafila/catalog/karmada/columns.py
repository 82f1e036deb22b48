"""Printer columns of Karmada's kinds and the functions that fill a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kafila.catalog.kind import Column
from kafila.core import cluster_report
from kafila.core.clock import human_duration, parse_rfc3339
from kafila.core.conditions import find
from kafila.core.values import Object
from kafila.machinery.jsonpath import cell, compile_path

Cells = Callable[[Object, float], list[Any]]

NAME = Column("Name", "string", "name", "Name, unique within the namespace.")
CREATED_AT = ".metadata.creationTimestamp"


def additional(*columns: tuple[str, str, str] | tuple[str, str, str, str]) -> tuple[Sequence[Column], Cells]:
    """Columns of a CustomResourceDefinition: (name, type, JSONPath[, description]). The object's name comes first."""
    shown = [NAME]
    paths = []
    for name, kind, path, *description in columns:
        text = description[0] if description else f"Custom resource definition column (in JSONPath format): {path}"
        shown.append(Column(name, kind, description=text))
        paths.append((compile_path(path), kind))

    def cells(obj: Object, now: float) -> list[Any]:
        return [(obj.get("metadata") or {}).get("name", ""), *(cell(path, kind, obj, now) for path, kind in paths)]

    return tuple(shown), cells


def age(stamp: Any, now: float) -> str:
    if not isinstance(stamp, str) or not stamp:
        return "<unknown>"
    try:
        return human_duration(now - parse_rfc3339(stamp))
    except ValueError:
        return "<invalid>"


DEFAULT = additional(("Age", "date", CREATED_AT, "Time since the object was created."))

CLUSTER = (
    NAME,
    Column("Version", description="Version of the cluster's API server."),
    Column("Mode", description="Push or Pull: who carries objects to the cluster."),
    Column("Ready", description="Whether the cluster takes workloads."),
    Column("Age", description="Time since the cluster was registered."),
    Column("Zones", description="Zones the cluster is in.", priority=1),
    Column("Region", description="Region the cluster is in.", priority=1),
    Column("Provider", description="Who runs the cluster.", priority=1),
    Column("API-Endpoint", description="URL of the cluster's API server.", priority=1),
    Column("Proxy-URL", description="Proxy on the way to the cluster.", priority=1),
    *(Column(name, description=text, priority=1) for name, text in cluster_report.COLUMNS),
)


def cluster_cells(obj: Object, now: float) -> list[Any]:
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    ready = find(status.get("conditions"), "Ready")
    return [
        metadata.get("name", ""),
        status.get("kubernetesVersion", ""),
        spec.get("syncMode", ""),
        "Unknown" if ready is None else ready.get("status", ""),
        age(metadata.get("creationTimestamp"), now),
        ",".join(spec.get("zones") or ()) or "<none>",
        spec.get("region") or "<none>",
        spec.get("provider") or "<none>",
        spec.get("apiEndpoint", ""),
        spec.get("proxyURL") or "<none>",
        *cluster_report.cells(obj, now),
    ]
