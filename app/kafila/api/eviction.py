"""``pods/eviction``: deletes a pod if its disruption budget has room for it."""

from __future__ import annotations

import orjson

from kafila.catalog.builtin.validation.common import selector_matches
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.core.conditions import condition, conditions_of, find, is_true, with_condition
from kafila.core.values import Object
from kafila.registry import Registry
from kafila.registry.codec import decode_entry
from kafila.registry.context import DeleteOptions, Options

from . import objects
from .admitting import admitted
from .bodies import decode_document, read_in_thread
from .pods import SUCCESS
from .request import Request, Target
from .responses import Response

BUDGETS = ("policy", "v1", "poddisruptionbudgets")
VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
MOST_DISRUPTED = 2000
EVICTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


async def evict(registry: Registry, kind: Kind, request: Request) -> Response:
    target = request.target
    assert target is not None
    document = (await read_in_thread(request, lambda: decode_document(request, kind, False))).value
    if isinstance(document, dict):
        document = await admitted(registry, kind, request, _eviction(document, target))
    given = document.get("deleteOptions") if isinstance(document, dict) else None
    named = document.get("metadata") if isinstance(document, dict) else None
    if isinstance(named, dict) and named.get("name") not in (None, "", target.name):
        raise errors.bad_request("name in URL does not match name in Eviction object")
    request.body = orjson.dumps(given) if isinstance(given, dict) else b""
    request.headers = {**request.headers, b"content-type": b"application/json"}
    options = await objects.sent_options(request)
    options.admitted = True
    await registry.wait_for_consistent_read()
    pod = registry.object(kind, target.namespace, target.name)
    if not _ended_or_unborn(pod):
        await _ask_budget(registry, pod, options)
    if not options.dry_run and _is_meant(pod, options):
        await _tell_why(registry, kind, target, options)
    await registry.delete(kind, target.namespace, target.name, options)
    return Response(201, SUCCESS)


def _eviction(document: Object, target: Target) -> Object:
    """As webhooks are shown it."""
    sent = document.get("metadata")
    metadata = {"name": target.name, "namespace": target.namespace, **(sent if isinstance(sent, dict) else {})}
    return {"kind": "Eviction", "apiVersion": "policy/v1", **document, "metadata": metadata}


def _is_meant(pod: Object, options: DeleteOptions) -> bool:
    """What is refused says the deletion that follows."""
    metadata = pod["metadata"]
    meant = options.uid in ("", metadata["uid"])
    return meant and options.resource_version in ("", metadata["resourceVersion"])


async def _tell_why(registry: Registry, kind: Kind, target: Target, options: DeleteOptions) -> None:
    """The pod's condition, which Jobs' rules for failed pods look at, too."""

    def told(pod: Object) -> Object:
        status = pod.setdefault("status", {})
        conditions = list(status.get("conditions") or ())
        at = next((i for i, each in enumerate(conditions) if each.get("type") == EVICTED["type"]), len(conditions))
        was = conditions[at : at + 1]
        since = was[0].get("lastTransitionTime") if was and was[0].get("status") == "True" else None
        conditions[at : at + 1] = [{**EVICTED, "lastProbeTime": None, "lastTransitionTime": since or rfc3339()}]
        status["conditions"] = conditions
        return pod

    write = Options(user=options.user, include_status=True, admitted=True)
    entry = await registry.modify(kind, target.namespace, target.name, told, write, "eviction")
    if options.resource_version:
        options.resource_version = str(entry.revision)


def _ended_or_unborn(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


async def _ask_budget(registry: Registry, pod: Object, options: DeleteOptions) -> None:
    """Takes one disruption off the pod's budget. Raises StatusError 403, 429, 500."""
    kind = registry.kind(*BUDGETS)
    metadata, labels = pod["metadata"], pod["metadata"].get("labels") or {}
    entries = registry.cache.resource(kind.resource).entries(metadata["namespace"])
    budgets = [decode_entry(kind, entry) for entry in entries]
    found = [b for b in budgets if selector_matches((b.get("spec") or {}).get("selector"), labels)]
    if len(found) > 1:
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise errors.StatusError(500, "", why)
    if not found or _unhealthy_may_go(pod, found[0]):
        return

    def taken(budget: Object) -> Object:
        _check_budget(budget)
        status = budget["status"] = dict(budget["status"])
        status["disruptionsAllowed"] -= 1
        if status["disruptionsAllowed"] == 0:
            no_more = condition(
                "DisruptionAllowed", "False", "InsufficientPods", "", status.get("observedGeneration") or 0
            )
            status["conditions"] = with_condition(status.get("conditions"), no_more)
        status["disruptedPods"] = {**(status.get("disruptedPods") or {}), metadata["name"]: rfc3339()}
        return budget

    write = Options(user=options.user, dry_run=options.dry_run)
    await registry.modify(kind, metadata["namespace"], found[0]["metadata"]["name"], taken, write, "status")


def _unhealthy_may_go(pod: Object, budget: Object) -> bool:
    if is_true(conditions_of(pod), "Ready"):
        return False
    status = budget.get("status") or {}
    healthy, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    always = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    return always or healthy >= desired > 0


def _check_budget(budget: Object) -> None:
    status, name = budget.get("status") or {}, budget["metadata"]["name"]
    allowed = status.get("disruptionsAllowed") or 0
    if (status.get("observedGeneration") or 0) < budget["metadata"].get("generation", 0):
        raise _violation(f"The disruption budget {name} is still being processed by the server.", 10)
    if allowed < 0:
        raise errors.forbidden("policy", "poddisruptionbudget", name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or ()) > MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden("policy", "poddisruptionbudget", name, why)
    if allowed == 0:
        raise _violation(_no_room(name, status), 0)


def _no_room(name: str, status: Object) -> str:
    condition = find(status.get("conditions"), "DisruptionAllowed") or {}
    said = condition.get("message") if condition.get("status") == "False" else ""
    healthy, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    budget = f"The disruption budget {name}"
    if said and condition.get("reason") == "SyncFailed":
        return f"{budget} does not allow evicting pods currently because it failed sync: {said}"
    if healthy <= desired:
        return f"{budget} needs {desired} healthy pods and has {healthy} currently"
    if said:
        return f"{budget} does not allow evicting pods currently ({condition.get('reason', '')}): {said}"
    return f"{budget} does not allow evicting pods currently"


def _violation(cause: str, seconds: int) -> errors.StatusError:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    if seconds:
        details["retryAfterSeconds"] = seconds
    return errors.StatusError(429, "TooManyRequests", VIOLATES, details, seconds or None)
