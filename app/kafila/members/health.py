"""The status of a Cluster: what was observed of a member, turned into conditions and summaries.

Pure, except for :func:`observe`. A member that just stopped answering keeps its old Ready condition for a while (the failure threshold),
and one that came back has to stay for a while (the success threshold): short breaks must not move workloads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from kafila.core import cluster_conditions
from kafila.core.clock import rfc3339
from kafila.core.cluster_conditions import COMPLETE, CREDENTIALS, HEARTBEAT, READY, SUMMARY
from kafila.core.conditions import condition, find, with_condition
from kafila.core.errors import StatusError
from kafila.core.values import AnyObject, Object

from .client import MemberClient
from .discovery import Discovery
from .resource_summary import LONGEST_NAME, MOST_NAMES, ResourceSummary
from .shapes import mapping
from .transport import Unreachable, UnusableAnswer

SUCCESS_THRESHOLD: Final = 30.0  # seconds
FAILURE_THRESHOLD: Final = 30.0
PROBE_TIMEOUT: Final = 10.0
DISCOVERY_TIMEOUT: Final = 60.0
LONGEST_VERSION: Final = 128  # characters


class Observation(NamedTuple):
    """The outcome of one probe of a member. ``failure``: no client could be made for it. What was not collected is None."""

    online: bool
    healthy: bool = False
    failure: str = ""
    why: str = ""  # it is not online or not healthy
    unusable: str = ""  # which of its answers is none of an API's
    version: str | None = None
    enablements: list[Object] | None = None
    complete: bool = False
    node_summary: Object | None = None
    resource_summary: Object | None = None
    left_out: int = 0  # resources that the summary leaves out


class History(NamedTuple):
    """The last raw result and since when (seconds) it is that; kept in memory between observations."""

    ready: str
    since: float


async def observe(
    client: MemberClient,
    discovery: Discovery,
    resource_summary: ResourceSummary | None = None,
    models: Sequence[AnyObject] = (),
    version: str = "",
) -> Observation:
    """Asks the member. Never raises for what a member does wrong; a ``resource_summary`` is given once its informers are synced,
    ``version`` when it is known."""
    endpoint = "/readyz"
    try:
        status = await _probe(client, endpoint)
        if status == 404:  # a server without that endpoint
            endpoint = "/healthz"
            status = await _probe(client, endpoint)
    except UnusableAnswer as error:
        return Observation(online=True, unusable=str(error))
    except Unreachable as error:
        return Observation(online=False, why=str(error))
    if status != 200:
        denied = ": it does not take our credentials any more; join the cluster again" if status == 401 else ""
        return Observation(online=True, why=f"{endpoint} answered {status}{denied}")
    if version:
        enablements, complete = await _enablements(discovery)
    else:
        version, (enablements, complete) = await asyncio.gather(_version(client), _enablements(discovery))
    if unusable := client.faults.current(asyncio.get_running_loop().time()):
        return Observation(online=True, unusable=unusable)
    return Observation(
        online=True,
        healthy=True,
        version=version,
        enablements=enablements,
        complete=complete,
        node_summary=resource_summary.node_summary() if resource_summary else None,
        resource_summary=resource_summary.resource_summary(models) if resource_summary else None,
        left_out=resource_summary.left_out() if resource_summary else 0,
    )


async def _probe(client: MemberClient, endpoint: str) -> int:
    clock = asyncio.get_running_loop().time
    began = clock()
    status, headers, _ = await client.exchange("GET", endpoint, probe=True, timeout=PROBE_TIMEOUT)
    client.conduct.probed(clock() - began, headers, time.time())
    return status


async def _version(client: MemberClient) -> str:
    what = "GET /version"
    try:
        with client.judging(what):
            status, body = await client.request("GET", "/version")
            found = mapping(body, what).get("gitVersion", "") if status == 200 else ""
            if not isinstance(found, str) or len(found) > LONGEST_VERSION:
                raise UnusableAnswer(f"the answer to {what} has no gitVersion")
            return found
    except Unreachable:
        return ""


async def _enablements(discovery: Discovery) -> tuple[list[Object], bool]:
    try:
        async with asyncio.timeout(DISCOVERY_TIMEOUT):  # a group after the other may take for ever
            served = await discovery.refresh()
    except (Unreachable, StatusError, TimeoutError):
        return [], False
    return served.enablements(), served.complete


def cluster_status(
    previous: AnyObject,
    observation: Observation,
    now: float,
    history: History | None = None,
    *,
    success_threshold: float = SUCCESS_THRESHOLD,
    failure_threshold: float = FAILURE_THRESHOLD,
) -> tuple[Object, History]:
    """The new status and the history for the next call. ``now`` in Unix seconds; ``history`` None for the first observation.

    ``previous`` is left as it is. Summaries of a member that is not ready stay as they were.
    """
    observed = ready_condition(observation)
    current = find(previous.get("conditions"), READY)
    if history is None or history.ready != observed["status"]:
        # the first result since we started counts at once
        history = History(observed["status"], now if history else float("-inf"))
    ready: AnyObject = observed
    if current is not None and _crosses(current["status"], observed["status"]):
        threshold = success_threshold if observed["status"] == "True" else failure_threshold
        if now < history.since + threshold:
            ready = current
    status = dict(previous)
    conditions = list(previous.get("conditions") or ())
    if observation.healthy and ready["status"] == "True":
        conditions = set_condition(conditions, _collect(status, observation), now)
    status["conditions"] = conditions if ready is current else set_condition(conditions, ready, now)
    return status, history


def with_expiry(status: Object, expires: float | None, now: float) -> Object:
    """A condition that says until when the member takes our token (Unix seconds). None: it does not expire, and there is none."""
    conditions = status.get("conditions") or ()
    if expires is None:
        kept = [c for c in conditions if c.get("type") != CREDENTIALS]
        return status if len(kept) == len(conditions) else {**status, "conditions": kept}
    how = "join the cluster again, or put another token into its secret"
    state, reason = ("True", "TokenExpires") if now < expires else ("False", "TokenExpired")
    made = condition(CREDENTIALS, state, reason, f"{cluster_conditions.expires(expires, now)}: {how}")
    return {**status, "conditions": set_condition(conditions, made, now)}


def with_heartbeat(status: Object, observation: Observation, seen: float, now: float) -> Object:
    """A condition that the member did not answer last time, long before it counts as not ready. ``seen``: when it last was
    (Unix seconds, 0 never)."""
    conditions = status.get("conditions") or ()
    if observation.healthy:
        kept = [c for c in conditions if c.get("type") != HEARTBEAT]
        return status if len(kept) == len(conditions) else {**status, "conditions": kept}
    before = find(conditions, HEARTBEAT)
    since = f" since {rfc3339(seen)}" if seen else ""
    message = f"not seen{since}: {observation.unusable or observation.why}"
    if not seen and before is not None:  # somebody else saw it before we began
        message = before["message"]
    made = condition(HEARTBEAT, "False", ready_condition(observation)["reason"], message)
    return {**status, "conditions": set_condition(conditions, made, now)}


def with_summary(status: Object, observation: Observation, now: float) -> Object:
    """A condition that the summary of the resources leaves something out."""
    if observation.resource_summary is None:  # that of before stays, and what is said of it
        return status
    conditions = status.get("conditions") or ()
    if not observation.left_out:
        kept = [c for c in conditions if c.get("type") != SUMMARY]
        return status if len(kept) == len(conditions) else {**status, "conditions": kept}
    message = (
        f"{observation.left_out} resources are left out: at most {MOST_NAMES} are listed, with names of at most "
        f"{LONGEST_NAME} characters, first those that nodes have; nothing that asks for the others is placed by its room"
    )
    made = condition(SUMMARY, "False", "TooManyResources", message)
    return {**status, "conditions": set_condition(conditions, made, now)}


def ready_condition(observation: Observation) -> Object:
    if observation.failure:
        message = f"failed to create a ClusterClient: {observation.failure}"
        return condition(READY, "False", "StatusCollectionFailed", message)
    if not observation.online:
        return condition(READY, "False", "ClusterNotReachable", "cluster is not reachable")
    if observation.unusable:
        message = f"cluster is reachable but its answers cannot be used: {observation.unusable}"
        return condition(READY, "False", "ClusterNotReady", message)
    if not observation.healthy:
        message = "cluster is reachable but health endpoint responded without ok"
        return condition(READY, "False", "ClusterNotReady", message)
    return condition(READY, "True", "ClusterReady", "cluster is healthy and ready to accept workloads")


def _collect(status: Object, observation: Observation) -> Object:
    """Puts what was collected into ``status``; the condition of the API enablements."""
    collected: Object = {
        "kubernetesVersion": observation.version,
        "apiEnablements": observation.enablements,
        "nodeSummary": observation.node_summary,
        "resourceSummary": observation.resource_summary,
    }
    for name, value in collected.items():
        if value is None:
            continue
        if value or name.endswith("Summary"):
            status[name] = value
        else:
            status.pop(name, None)
    count = len(observation.enablements or ())
    if not count:
        return condition(COMPLETE, "False", "Empty", "collected empty APIEnablements from the cluster")
    if not observation.complete:
        message = f"might collect partial APIEnablements({count}) from the cluster"
        return condition(COMPLETE, "False", "Partial", message)
    return condition(COMPLETE, "True", "Complete", "collected complete APIEnablements from the cluster")


def _crosses(old: str, new: str) -> bool:
    """Between ready and anything else; from Unknown to False nothing is held back."""
    return (old == "True") != (new == "True")


def set_condition(conditions: Sequence[AnyObject] | None, new: AnyObject, now: float) -> list[Object]:
    """With the time last, where a Cluster's conditions have it on the wire."""
    return with_condition(conditions, {**new, "lastTransitionTime": rfc3339(now)})
