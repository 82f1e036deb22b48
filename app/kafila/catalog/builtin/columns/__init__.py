"""Tables as the server sends them: always with the wide columns, which kubectl hides by their priority."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from kafila.catalog.kind import Column
from kafila.catalog.tables import read_table
from kafila.core.resources import GroupVersionKind

from . import access, configuration, network, pods, resources, storage, workloads
from .common import Cells, Row

_ALL: dict[str, Row] = {
    **pods.ROWS,
    **workloads.ROWS,
    **network.ROWS,
    **configuration.ROWS,
    **storage.ROWS,
    **access.ROWS,
    **resources.ROWS,
}
# kinds whose name alone says too little, or whose row belongs to another kind
_NAMES = {
    "MutatingWebhookConfiguration": "MutatingWebhook",
    "ValidatingWebhookConfiguration": "ValidatingWebhook",
    "DeviceTaintRule": "DeviceTaint",
}
_GROUPS = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)


def _columns(text: str) -> tuple[Column, ...]:
    """Of ``Row.columns``."""
    out = []
    for part in text.split(" | "):
        part, _, priority = part.partition("^")
        part, _, form = part.partition("/")
        name, _, kind = part.partition(":")
        form = form or ("name" if name == "Name" else "")
        out.append(Column(name, kind or "string", form, priority=int(priority or 0)))
    return tuple(out)


def in_order_of_rows(kind: str, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The objects of a Table as their rows stand in it, which is by name but for a kind whose order says more."""
    return sorted(objects, key=access.flow_schema_rank) if kind == "FlowSchema" else objects


@cache
def descriptions(kind: str) -> dict[str, str]:
    """What the columns of a kind mean, by their names. Read when the first Table is asked for."""
    row = _NAMES.get(kind, kind)
    return _descriptions()[row if row in _ALL else ""]


@cache
def _descriptions() -> dict[str, dict[str, str]]:
    return read_table("columns.json")["rows"]


_COLUMNS = {name: _columns(row.columns) for name, row in _ALL.items()}


def print_columns(gvk: GroupVersionKind) -> tuple[Sequence[Column], Cells] | None:
    """Columns of a kind and the function from ``(object, now)`` to one value per column; None: only name and creation."""
    if gvk.group not in _GROUPS:
        return None
    name = _NAMES.get(gvk.kind, gvk.kind)
    row = _ALL.get(name)
    return (_COLUMNS[name], row.cells) if row is not None else None
