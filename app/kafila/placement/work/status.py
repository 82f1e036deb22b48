"""Status on its way back: from a member object to its Work, from the Works to the binding."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from kafila.core.conditions import condition, find, with_condition
from kafila.core.resources import gvk_of, split_api_version
from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.interpreter import NATIVE, Interpreter, InterpretError, Operation
from kafila.placement.interpreter.aggregate import reported_status
from kafila.placement.objects import (
    metadata,
    name,
    namespace,
)
from kafila.placement.spec import existing_clusters
from kafila.placement.types import (
    AggregatedStatusItem,
    Binding,
    ManifestStatus,
    ResourceBindingSpec,
    ResourceBindingStatus,
    ResourceIdentifier,
    Work,
)
from kafila.placement.work.completions import are_asked, left_over_by

NO_FAILURES: Final[Mapping[str, str]] = MappingProxyType({})


class NoSuchManifest(Exception):
    def __init__(self) -> None:
        super().__init__("no such manifest exist")


def manifest_index(work: Work, api_version: str, kind: str, namespace: str, name: str) -> int:
    """Raises NoSuchManifest."""
    for index, manifest in enumerate((work["spec"].get("workload") or {}).get("manifests") or ()):
        meta = metadata(manifest)
        if (
            manifest.get("apiVersion") == api_version
            and manifest.get("kind") == kind
            and (meta.get("namespace") or "") == namespace
            and (meta.get("name") or "") == name
        ):
            return index
    raise NoSuchManifest


EventParts = tuple[str, str, str]


class Reflected(NamedTuple):
    status: ManifestStatus  # the one element of ``status.manifestStatuses``
    failure: str  # why the object's health is not known, or ""
    judged: bool  # whether somebody was there to judge its health


def manifest_status(work: Work, observed: Object, interpreter: Interpreter = NATIVE) -> Reflected:
    """What the member says about the object. Raises NoSuchManifest, InterpretError."""
    api_version, kind = observed.get("apiVersion") or "", observed.get("kind") or ""
    group, version = split_api_version(api_version)
    ordinal = manifest_index(work, api_version, kind, namespace(observed), name(observed))
    identifier: ResourceIdentifier = {
        "ordinal": ordinal,
        "version": version,
        "kind": kind,
        "resource": "",
        "name": name(observed),
    }
    if group:
        identifier["group"] = group
    if namespace(observed):
        identifier["namespace"] = namespace(observed)
    health, failure = interpret_health(observed, interpreter)
    found: ManifestStatus = {"identifier": identifier, "health": health}
    reflected = interpreter.reflect_status(observed)
    if reflected is not None:
        found["status"] = reflected
    return Reflected(found, failure, interpreter.hook_enabled(gvk_of(observed), Operation.HEALTH))


def interpret_health(
    observed: Object, interpreter: Interpreter = NATIVE
) -> tuple[Literal["Healthy", "Unhealthy", "Unknown"], str]:
    """Its health, and why that is not known or "". A kind that nobody can judge is healthy."""
    if not interpreter.hook_enabled(gvk_of(observed), Operation.HEALTH):
        return constants.HEALTHY, ""
    try:
        return constants.HEALTHY if interpreter.interpret_health(observed) else constants.UNHEALTHY, ""
    except InterpretError as error:
        return constants.UNKNOWN, str(error)


def interpretation_events(
    observed: Object, found: Reflected | None, failure: str, before: ManifestStatus | None
) -> list[EventParts]:
    """(type, reason, message) on the Work, of what became of reading the status: what went wrong, and each outcome that is new.

    ``before``: the status whose events were recorded already, None where there was none or it could not be read.
    """
    what = f"object({observed.get('kind')}/{namespace(observed)}/{name(observed)})"
    if found is None:
        return [
            ("Warning", constants.EVENT_REFLECT_STATUS_FAILED, f"Reflect status for {what} failed, err: {failure}.")
        ]
    events: list[EventParts] = []
    if before is None:
        events.append(("Normal", constants.EVENT_REFLECT_STATUS, f"Reflect status for {what} succeed."))
    health = found.status["health"]
    if found.failure:
        text = f"Interpret health of {what} failed, err: {found.failure}."
        events.append(("Warning", constants.EVENT_INTERPRET_HEALTH_FAILED, text))
    elif found.judged and health != (before.get("health") if before is not None else None):
        events.append(("Normal", constants.EVENT_INTERPRET_HEALTH, f"Interpret health of {what} as {health.lower()}."))
    return events


def aggregated_status(resource: AnyObject, works: Iterable[Work], *, is_all: bool = True) -> list[AggregatedStatusItem]:
    """``status.aggregatedStatus`` of a binding, sorted by cluster. ``resource``: the binding's ``spec.resource``.

    ``is_all``: False when more is, or would have to be, asked for than these Works do. Raises NoSuchManifest when a Work is
    not of this resource.
    """
    items = [_item(resource, work, is_all) for work in works if not work["metadata"].get("deletionTimestamp")]
    return sorted(items, key=lambda item: str(item["clusterName"]))


def _item(resource: AnyObject, work: Work, is_all: bool) -> AggregatedStatusItem:
    api_version, kind = resource.get("apiVersion") or "", resource.get("kind") or ""
    where, called = resource.get("namespace") or "", resource.get("name") or ""
    ordinal = manifest_index(work, api_version, kind, where, called)
    item: AggregatedStatusItem = {"clusterName": constants.cluster_of(namespace(work)), "health": "Unknown"}
    applied = find((work.get("status") or {}).get("conditions"), constants.COND_APPLIED)
    is_applied = applied is not None and applied.get("status") == "True"
    group, version = split_api_version(api_version)
    wanted = (ordinal, group, version, kind, where, called)
    reported = next((m for m in _reported(work) if _identity(m.get("identifier") or {}) == wanted), None)
    if is_applied:
        item["applied"] = True
        if reported is not None:
            if health := reported.get("health"):
                item["health"] = health
            else:
                del item["health"]
    elif applied is not None and applied.get("message"):
        item["appliedMessage"] = applied["message"]
    # Karmada forgets it where the newest manifest is refused, though the copy runs on as it was
    if reported is not None and reported.get("status") is not None:
        item["status"] = reported_status(
            work["spec"]["workload"]["manifests"][ordinal], reported["status"], is_all=is_all
        )
    return item


def _reported(work: Work) -> Sequence[ManifestStatus]:
    return (work.get("status") or {}).get("manifestStatuses") or ()


def _identity(identifier: AnyObject) -> tuple[int, str, str, str, str, str]:
    def text(field: str) -> str:
        return identifier.get(field) or ""

    return (
        identifier.get("ordinal") or 0,
        text("group"),
        text("version"),
        text("kind"),
        text("namespace"),
        text("name"),
    )


def fully_applied(binding_spec: ResourceBindingSpec, items: Sequence[AggregatedStatusItem]) -> Object:
    """The condition FullyApplied: True when exactly the clusters that shall have the resource have applied it."""
    applied = {item["clusterName"] for item in items if item.get("applied")}
    wanted = existing_clusters(binding_spec)
    if wanted and len(items) == len(wanted) and applied == wanted:
        return condition(
            constants.COND_FULLY_APPLIED, "True", constants.REASON_FULLY_APPLIED, constants.MESSAGE_FULLY_APPLIED
        )
    return condition(
        constants.COND_FULLY_APPLIED, "False", constants.REASON_NOT_FULLY_APPLIED, constants.MESSAGE_NOT_FULLY_APPLIED
    )


def known_failures(binding: Binding) -> dict[str, str]:
    """By cluster, why the binding has no Work there as it should be, as its status says."""
    failures = {
        item["clusterName"]: item.get("appliedMessage") or ""
        for item in (binding.get("status") or {}).get("aggregatedStatus") or ()
    }
    return {
        cluster: message.removeprefix(constants.MESSAGE_NO_WORK)
        for cluster, message in failures.items()
        if message.startswith(constants.MESSAGE_NO_WORK)
    }


def _with_silent(items: Sequence[AggregatedStatusItem], to_come: Collection[str]) -> list[AggregatedStatusItem]:
    """Those without a Work say nothing, so that nobody takes what the others say for all."""
    nothing = {cluster: AggregatedStatusItem(clusterName=cluster, health="Unknown") for cluster in to_come}
    found = nothing | {item["clusterName"]: item for item in items}
    return [found[cluster] for cluster in sorted(found)]


def _with_failures(items: Sequence[AggregatedStatusItem], failures: Mapping[str, str]) -> list[AggregatedStatusItem]:
    """What runs in a cluster goes on being reported, but not as applied: what should be there now is something else."""
    found = {item["clusterName"]: item for item in items}
    for cluster, failure in failures.items():
        item: AggregatedStatusItem = {"clusterName": cluster, "health": "Unknown"}
        item = {**(found.get(cluster) or item), "appliedMessage": constants.MESSAGE_NO_WORK + failure}
        item.pop("applied", None)
        found[cluster] = item
    return [found[cluster] for cluster in sorted(found)]


def with_aggregated(
    binding: Binding,
    works: Iterable[Work],
    failures: Mapping[str, str] = NO_FAILURES,
    now: float | None = None,
    *,
    template: Object | None = None,
    to_come: Collection[str] = (),
) -> ResourceBindingStatus:
    """The new ``status`` of a binding from its Works; the same object when nothing changes.

    ``failures``: by cluster, why there is no Work as it should be. ``to_come``: clusters that are told of, also where no Work
    is yet.
    """
    old: ResourceBindingStatus = binding.get("status") or {}
    works = list(works)
    if not works and not failures and find(old.get("conditions"), constants.COND_FULLY_APPLIED) is None:
        return old  # there was never anything to apply
    wanted = binding["spec"]
    resource, missing = wanted["resource"], left_over_by(template or {}, wanted, works)
    is_all = resource.get("kind") != "Job" or (not missing and are_asked(wanted, works))
    items = aggregated_status(resource, works, is_all=is_all)
    if to_come:
        items = _with_silent(items, to_come)
    if failures:
        items = _with_failures(items, failures)
    made = fully_applied(wanted, items)
    if missing:
        made = condition(constants.COND_FULLY_APPLIED, "False", constants.REASON_NOT_FULLY_APPLIED, missing)
    conditions = with_condition(old.get("conditions"), made, now)
    if (old.get("aggregatedStatus") or []) == items and old.get("conditions") == conditions:
        return old
    new: ResourceBindingStatus = {**old, "conditions": conditions, "aggregatedStatus": items}
    if not items:
        del new["aggregatedStatus"]
    return new


def aggregated_event(binding: Binding) -> tuple[str, str, str]:
    where = namespace(binding)
    what = f"ResourceBinding({where}/{name(binding)})" if where else f"ClusterResourceBinding({name(binding)})"
    return "Normal", constants.EVENT_AGGREGATE_STATUS, f"Update {what} with AggregatedStatus successfully."


def applied_condition(total: int, errors: Sequence[str] = (), recreated: bool = False) -> Object:
    """The Work's condition after its manifests were written to the member. ``recreated``: because they had gone there."""
    if not errors:
        reason = constants.REASON_RECREATED if recreated else constants.REASON_APPLIED
        return condition(constants.COND_APPLIED, "True", reason, constants.MESSAGE_APPLIED)
    if recreated:
        return condition(constants.COND_APPLIED, "False", constants.REASON_NOT_RECREATED, aggregate_text(errors))
    message = f"Failed to apply all manifests ({total - len(errors)}/{total}): {aggregate_text(errors)}"
    return condition(constants.COND_APPLIED, "False", constants.REASON_NOT_APPLIED, message)


def dispatching_condition(suspended: bool) -> Object:
    if suspended:
        return condition(constants.COND_DISPATCHING, "False", constants.REASON_SUSPENDED, constants.MESSAGE_SUSPENDED)
    return condition(constants.COND_DISPATCHING, "True", constants.REASON_DISPATCHING, constants.MESSAGE_DISPATCHING)
