"""``kafila clusters``: the members at a glance, and what is wrong with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from kafila.core import cluster_report as report
from kafila.core.values import AnyObject, Object

from .flags import KarmadaContext, Kubeconfig, Output, check_output
from .membership import access, told

if TYPE_CHECKING:
    from kafila.members.client import MemberClient

_GAP: Final = "   "
_HEAD: Final = (
    "NAME",
    "VERSION",
    "MODE",
    "READY",
    "SINCE",
    "CREDENTIALS",
    "LATENCY",
    "QUEUE",
    "TUNNEL",
    "NODES",
    "CPU USED",
    "CPU FREE",
    "MEMORY USED",
    "MEMORY FREE",
    "TAINTS",
    "LAST ERROR",
)


def clusters(
    *names: Annotated[str, Parameter(name="NAME", help="Only these.")],
    output: Output = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """List the clusters: version, whether they are ready and since when, until when their credentials are valid, how quickly
    they answer, what waits for them, what their nodes have and what pods ask for, taints, and what is wrong."""
    check_output(output, "json")
    found = told(access(kubeconfig, karmada_context), lambda client: _read(client, names))
    now = time.time()
    if output == "json":
        import orjson

        print(orjson.dumps([fields(cluster, now) for cluster in found], option=orjson.OPT_INDENT_2).decode())
    elif found:
        print(table([list(fields(cluster, now).values()) for cluster in found]))
    else:
        print("No clusters found: kafila join adds one.")


async def _read(client: MemberClient, names: Sequence[str]) -> list[Object]:
    from kafila.members.join import CLUSTERS

    if names:
        return [await client.get(f"{CLUSTERS}/{name}") for name in names]
    return sorted((await client.list(CLUSTERS))[0], key=lambda cluster: cluster["metadata"]["name"])


def fields(cluster: AnyObject, now: float) -> dict[str, str]:
    """What is shown of a cluster, in the order of the columns."""
    cpu, memory = report.amount(cluster, "cpu"), report.amount(cluster, "memory")
    return {
        "name": cluster["metadata"]["name"],
        "version": (cluster.get("status") or {}).get("kubernetesVersion") or "<unknown>",
        "mode": (cluster.get("spec") or {}).get("syncMode") or "",
        "ready": report.ready(cluster),
        "since": report.since(cluster, now),
        "credentials": report.credentials(cluster, now),
        "latency": report.latency(cluster),
        "queue": report.queue(cluster),
        "tunnel": report.tunnel(cluster, now),
        "nodes": report.nodes(cluster),
        "cpuUsed": report.cpu(cpu.used),
        "cpuFree": report.cpu(cpu.free),
        "memoryUsed": report.memory(memory.used),
        "memoryFree": report.memory(memory.free),
        "taints": report.taints(cluster) or report.NONE,
        "lastError": report.last_error(cluster) or report.NONE,
    }


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what stands in them, the last one as it is. What members say is printed without control characters."""
    lines = [_HEAD, *([_printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(_HEAD))]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _printable(cell: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cell)
