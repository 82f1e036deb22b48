"""``kafila top``: what pods and nodes use, in whichever cluster they are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from cyclopts import Parameter

from kafila.placement.constants import CACHED_FROM_CLUSTER, QUERY_FROM_CLUSTER

from . import CommandError, UsageError
from .flags import KarmadaContext, Kubeconfig
from .membership import access, told

if TYPE_CHECKING:
    from kafila.core.values import AnyObject, Object
    from kafila.members.client import MemberClient

METRICS: Final = "/apis/metrics.k8s.io/v1beta1"
UNKNOWN: Final = "<unknown>"
_GAP: Final = "   "
_MIB: Final = 1 << 20
_WARNING: Final = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')

Names = Annotated[str, Parameter(name="NAME", help="Only this one.")]
Cluster = Annotated[
    list[str] | None, Parameter(name=["--cluster", "-C"], help="Only of this cluster; may be repeated.")
]
Labels = Annotated[str, Parameter(name=["--selector", "-l"], help="Only what a label selector selects.")]
SortBy = Annotated[str, Parameter(help="cpu or memory: the highest first.")]
NoHeaders = Annotated[bool, Parameter(help="Without the line of headings.")]


class Row(NamedTuple):
    """``cpu`` in thousandths of a core, ``memory`` in bytes; ``of_cpu``, ``of_memory``: what there is, None: nobody says."""

    namespace: str
    name: str
    cluster: str
    cpu: int
    memory: int
    of_cpu: int | None = None
    of_memory: int | None = None


def pods(
    name: Names = "",
    /,
    *,
    namespace: Annotated[str, Parameter(name=["--namespace", "-n"], help="Namespace (default: of the context).")] = "",
    all_namespaces: Annotated[bool, Parameter(name=["--all-namespaces", "-A"], help="Of all namespaces.")] = False,
    cluster: Cluster = None,
    selector: Labels = "",
    sort_by: SortBy = "",
    no_headers: NoHeaders = False,
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Show the CPU and memory that pods use, in all clusters or in some."""
    _check(sort_by, name, selector)
    if all_namespaces and name:
        raise UsageError("a pod cannot be named across all namespaces")
    plane = access(kubeconfig, karmada_context)
    here = "" if all_namespaces else namespace or plane.namespace or "default"
    path = f"{METRICS}/namespaces/{here}/pods" if here else f"{METRICS}/pods"
    found = told(plane, lambda client: _usage(client, path, name, selector, cluster or ()))
    shown = _sorted(map(row_of, found), sort_by)
    head = [*(["NAMESPACE"] if all_namespaces else []), "NAME", "CLUSTER", "CPU(cores)", "MEMORY(bytes)"]
    rows = [
        [*([row.namespace] if all_namespaces else []), row.name, row.cluster, cores(row.cpu), mebibytes(row.memory)]
        for row in shown
    ]
    where = "in any namespace" if all_namespaces else f"in {here} namespace"
    _print(head, rows, no_headers, f"No resources found {where}.")


def nodes(
    name: Names = "",
    /,
    *,
    cluster: Cluster = None,
    selector: Labels = "",
    sort_by: SortBy = "",
    no_headers: NoHeaders = False,
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Show the CPU and memory that nodes use, in all clusters or in some."""
    _check(sort_by, name, selector)
    plane = access(kubeconfig, karmada_context)
    used, there = told(plane, lambda client: _nodes(client, name, selector, cluster or ()))
    shown = _sorted((row_of(item, there) for item in used), sort_by)
    rows = [
        [
            row.name,
            row.cluster,
            cores(row.cpu),
            percent(row.cpu, row.of_cpu),
            mebibytes(row.memory),
            percent(row.memory, row.of_memory),
        ]
        for row in shown
    ]
    head = ["NAME", "CLUSTER", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    _print(head, rows, no_headers, "No resources found.")


def _check(sort_by: str, name: str, selector: str) -> None:
    if sort_by not in ("", "cpu", "memory"):
        raise UsageError("--sort-by accepts only cpu or memory")
    if name and selector:
        raise UsageError("only one of NAME or --selector can be provided")


# -- asking ------------------------------------------------------------------------------------------------------------


async def _nodes(
    client: MemberClient, name: str, selector: str, clusters: Sequence[str]
) -> tuple[list[Object], dict[tuple[str, str], AnyObject]]:
    """What nodes use, and what there is of each, by cluster and name: nothing where that may not be read."""
    from kafila.core.errors import StatusError

    used = await _usage(client, f"{METRICS}/nodes", name, selector, clusters)
    try:
        path = "/apis/cluster.karmada.io/v1alpha1/clusters/*/proxy/api/v1/nodes"
        listed, _ = await client.list(path, query={"labelSelector": selector} if selector else {})
    except StatusError:
        return used, {}
    there = {(_annotation(node, CACHED_FROM_CLUSTER), node["metadata"]["name"]): node for node in listed}
    return used, {key: (node.get("status") or {}).get("allocatable") or {} for key, node in there.items()}


async def _usage(client: MemberClient, path: str, name: str, selector: str, clusters: Sequence[str]) -> list[Object]:
    """Raises CommandError for a cluster that is not there."""
    from kafila.members.answers import status_error
    from kafila.members.shapes import items_of, mapping

    for cluster in clusters:
        if await client.find(f"/apis/cluster.karmada.io/v1alpha1/clusters/{cluster}") is None:
            raise CommandError(f"clusters don't exist: {cluster}")
    fields = {"fieldSelector": f"metadata.name={name}"} if name else {}
    query = {**fields, **({"labelSelector": selector} if selector else {})}
    status, headers, body = await client.exchange("GET", path, query=query)
    if status != 200:
        raise status_error(status, body)
    for text in warnings_of(headers):
        if not clusters or any(text.startswith(f"cluster {cluster} ") for cluster in clusters):
            print(f"Warning: {text}", file=sys.stderr)
    found = [
        item
        for item in items_of(mapping(body, path), path)
        if not clusters or _annotation(item, QUERY_FROM_CLUSTER) in clusters
    ]
    if name and not found:
        kind = "nodes" if path.endswith("/nodes") else "pods"
        raise CommandError(f'Error from server (NotFound): {kind} "{name}" not found')
    return found


def warnings_of(headers: object) -> list[str]:
    """The texts of all Warning headers."""
    every = getattr(headers, "getall", None)
    given: Iterable[str] = every("Warning", []) if every is not None else []
    return [re.sub(r"\\(.)", r"\1", text) for value in given for text in _WARNING.findall(value)]


# -- showing -----------------------------------------------------------------------------------------------------------


def row_of(item: AnyObject, there: dict[tuple[str, str], AnyObject] | None = None) -> Row:
    """Of PodMetrics or NodeMetrics. ``there``: allocatable resources of nodes, by cluster and name."""
    metadata, cluster = item["metadata"], _annotation(item, QUERY_FROM_CLUSTER)
    used = [item["usage"]] if "usage" in item else [each.get("usage") or {} for each in item.get("containers") or ()]
    node = (there or {}).get((cluster, metadata["name"]), {})
    cpu, memory = sum(_milli(each, "cpu") or 0 for each in used), sum(_milli(each, "memory") or 0 for each in used)
    of_memory = _milli(node, "memory")
    return Row(
        metadata.get("namespace") or "",
        metadata["name"],
        cluster,
        cpu,
        memory // 1000,
        _milli(node, "cpu"),
        None if of_memory is None else of_memory // 1000,
    )


def _milli(amounts: AnyObject, resource: str) -> int | None:
    """Thousandths; None where nothing is said."""
    from kafila.core.quantity import QuantityError, to_milli

    given = amounts.get(resource)
    try:
        return None if given is None else to_milli(given)
    except QuantityError:
        return None


def _annotation(obj: AnyObject, name: str) -> str:
    value: str = (obj["metadata"].get("annotations") or {}).get(name) or ""
    return value


def _sorted(rows: Iterable[Row], by: str) -> list[Row]:
    if by:
        return sorted(rows, key=lambda row: -(row.cpu if by == "cpu" else row.memory))
    return sorted(rows, key=lambda row: row[:3])


def cores(milli: int) -> str:
    return f"{milli}m"


def mebibytes(size: int) -> str:
    return f"{size // _MIB}Mi"


def percent(used: int, there: int | None) -> str:
    return f"{used * 100 // there}%" if there else UNKNOWN


def _print(head: Sequence[str], rows: Sequence[Sequence[str]], no_headers: bool, nothing: str) -> None:
    if not rows:
        print(nothing, file=sys.stderr)
        return
    lines = [*([] if no_headers else [head]), *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    for line in lines:
        print(_GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
