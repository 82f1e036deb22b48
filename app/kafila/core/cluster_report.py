"""What is shown of a Cluster, as the server's wide table and ``kafila clusters`` have it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from . import quantity
from .clock import human_duration, parse_rfc3339
from .cluster_conditions import CREDENTIALS, HEARTBEAT, READY, RESPONSIVE, TROUBLES, TUNNEL, expiry_of, figures_of
from .conditions import find
from .printable import one_line
from .values import AnyObject

UNSCHEDULABLE: Final = "cluster.karmada.io/unschedulable"  # the taint of karmadactl cordon
NONE: Final = "<none>"
_UNITS: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

# name and description of the columns that ``cells`` fills
COLUMNS: Final = (
    ("Scheduling", "Whether new workloads may be placed there: Disabled where it is cordoned."),
    ("Since", "For how long it is Ready, or is not."),
    ("Credentials", "For how long its credentials are valid."),
    ("Latency", "How long it takes to answer, in steps of 1, 2, 5, 10."),
    ("Queue", "Changes that wait to be written there, in steps of 1, 2, 5, 10."),
    ("Tunnel", "Since when its agent's tunnel is open."),
    ("Nodes", "Ready nodes of all."),
    ("CPU", "Requested by pods, of what the nodes have."),
    ("Memory", "Requested by pods, of what the nodes have."),
    ("Taints", "Taints of the cluster."),
    ("Last-Error", "What is wrong with it."),
)


class Amount(NamedTuple):
    """Of a resource; None where the member did not tell."""

    used: quantity.Quantity | None
    all: quantity.Quantity | None

    @property
    def free(self) -> quantity.Quantity | None:
        return None if self.used is None or self.all is None else self.all - self.used


def cells(cluster: AnyObject, now: float) -> list[str]:
    return [
        "Disabled" if is_cordoned(cluster) else "Enabled",
        since(cluster, now),
        credentials(cluster, now),
        latency(cluster),
        queue(cluster),
        tunnel(cluster, now),
        nodes(cluster),
        f"{cpu(amount(cluster, 'cpu').used)}/{cpu(amount(cluster, 'cpu').all)}",
        f"{memory(amount(cluster, 'memory').used)}/{memory(amount(cluster, 'memory').all)}",
        taints(cluster) or NONE,
        last_error(cluster) or NONE,
    ]


def _condition(cluster: AnyObject, type: str) -> AnyObject | None:
    return find((cluster.get("status") or {}).get("conditions"), type)


def is_cordoned(cluster: AnyObject) -> bool:
    return any(taint.get("key") == UNSCHEDULABLE for taint in (cluster.get("spec") or {}).get("taints") or ())


def ready(cluster: AnyObject) -> str:
    """As kubectl has it for nodes."""
    state = (_condition(cluster, READY) or {}).get("status", "Unknown")
    return f"{state},SchedulingDisabled" if is_cordoned(cluster) else state


def since(cluster: AnyObject, now: float) -> str:
    return _age((_condition(cluster, READY) or {}).get("lastTransitionTime"), now)


def _age(stamp: Any, now: float) -> str:
    try:
        return human_duration(now - parse_rfc3339(stamp))
    except (AttributeError, TypeError, ValueError):
        return "<unknown>"


def credentials(cluster: AnyObject, now: float) -> str:
    found = _condition(cluster, CREDENTIALS)
    if found is None:
        return NONE  # they do not expire
    expires = expiry_of(found["message"])
    if expires is None:
        return str(found["reason"])
    return human_duration(expires - now) if expires > now else f"expired {human_duration(now - expires)} ago"


def latency(cluster: AnyObject) -> str:
    found = figures_of((_condition(cluster, RESPONSIVE) or {}).get("message", ""))
    return f"{found.milliseconds}ms" if found else "<unknown>"


def queue(cluster: AnyObject) -> str:
    found = figures_of((_condition(cluster, RESPONSIVE) or {}).get("message", ""))
    return str(found.waiting) if found else "<unknown>"


def tunnel(cluster: AnyObject, now: float) -> str:
    """Where it ever had one: since when it is open, or that it is not."""
    found = _condition(cluster, TUNNEL)
    if found is None:
        return NONE
    return _age(found.get("lastTransitionTime"), now) if found.get("status") == "True" else "closed"


def nodes(cluster: AnyObject) -> str:
    found = (cluster.get("status") or {}).get("nodeSummary")
    return "<unknown>" if found is None else f"{found.get('readyNum', 0)}/{found.get('totalNum', 0)}"


def amount(cluster: AnyObject, resource: str) -> Amount:
    summary = (cluster.get("status") or {}).get("resourceSummary")
    if not summary:
        return Amount(None, None)
    try:
        have, used, coming = (
            quantity.of((summary.get(part) or {}).get(resource, 0))
            for part in ("allocatable", "allocated", "allocating")
        )
    except quantity.QuantityError:
        return Amount(None, None)
    return Amount(used + coming, have)


def cpu(amount: quantity.Quantity | None) -> str:
    """In cores: 1.5."""
    return "?" if amount is None else f"{amount.nano / quantity.NANO:.1f}".removesuffix(".0")


def memory(amount: quantity.Quantity | None) -> str:
    """In the biggest unit that leaves one digit before the point: 1.5Gi."""
    if amount is None:
        return "?"
    value = amount.nano / quantity.NANO
    unit = 0
    while abs(value) >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}".removesuffix(".0") + _UNITS[unit]


def taints(cluster: AnyObject) -> str:
    """As karmadactl taint takes them."""
    found = (cluster.get("spec") or {}).get("taints") or ()
    return ",".join(
        f"{t.get('key', '')}{'=' + t['value'] if t.get('value') else ''}:{t.get('effect', '')}" for t in found
    )


def last_error(cluster: AnyObject) -> str:
    """What is wrong, in the words of its condition; why it does not answer, where that is known."""
    wrong = next((c for type in TROUBLES if (c := _condition(cluster, type)) and c.get("status") != "True"), None)
    if wrong is None:
        return ""
    lost = _condition(cluster, HEARTBEAT) if wrong["type"] == READY else None
    said = f"{wrong.get('reason', '')}: {(lost or wrong).get('message', '')}"
    return one_line(said)
