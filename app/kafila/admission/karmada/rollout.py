"""Rules of ``spec.rolloutStrategy``, which is ours: a Status with a cause for each thing that cannot be meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kafila.catalog.karmada.affinity import validate_cluster_affinity
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.errors import FieldError
from kafila.core.values import Object
from kafila.placement.rollout.strategy import STAGED, TIMEOUT, seconds_of

from .context import AdmissionContext

LONGEST: Final = 365 * 86400  # seconds of any time in it
_PATH: Final = "spec.rolloutStrategy"


def admit_rollout(kind: Kind, new: Object, old: Object | None, around: AdmissionContext) -> None:
    """Raises StatusError 422. Of clusters that do not exist only those that are named anew are refused: one may have left."""
    strategy = new["spec"].get("rolloutStrategy")
    if strategy is None:
        return
    before = (old["spec"].get("rolloutStrategy") if old is not None else None) or {}
    if strategy == before:
        return
    found = errors.gathered(lambda: [*_strategy(strategy), *_unknown(strategy, before, around)])
    if found:
        raise errors.invalid(kind.group, kind.kind, new["metadata"].get("name") or "", found)


def _strategy(strategy: Object) -> Iterator[FieldError]:
    staged = strategy.get("staged")
    if strategy.get("type") != STAGED:
        if staged is not None:
            yield FieldError.forbidden(f"{_PATH}.staged", f"may only be set with type {STAGED}")
        return
    if staged is None:
        yield FieldError.required(f"{_PATH}.staged", f"has to be set with type {STAGED}")
        return
    path = f"{_PATH}.staged"
    order, stages = staged.get("order") or (), staged.get("stages") or ()
    if order and stages:
        yield FieldError.forbidden(f"{path}.order", "may not be set together with stages")
    yield from _duplicates(order, f"{path}.order[{{}}]")
    yield from _stages(stages, f"{path}.stages")
    yield from _times(staged, path)
    conditions = (staged.get("gate") or {}).get("requiredConditions") or ()
    types = [each.get("type") for each in conditions]
    yield from _duplicates(types, f"{path}.gate.requiredConditions[{{}}].type")


def _stages(stages: Sequence[Object], path: str) -> Iterator[FieldError]:
    yield from _duplicates([stage.get("name") for stage in stages], f"{path}[{{}}].name")
    named: dict[str, str] = {}
    everything = ""
    for index, stage in enumerate(stages):
        affinity, called = stage.get("targetClusters") or {}, stage.get("name") or ""
        at = f"{path}[{index}].targetClusters"
        if everything:
            text = f"stage {everything} has every cluster already: nothing is left for this one"
            yield FieldError.invalid(f"{path}[{index}].name", called, text)
        if not any(affinity.values()):
            everything = everything or called
        yield from validate_cluster_affinity(affinity, at)
        for number, cluster in enumerate(affinity.get("clusterNames") or ()):
            if cluster in named:
                text = f"it is in stage {named[cluster]} already"
                yield FieldError.invalid(f"{at}.clusterNames[{number}]", cluster, text)
            named.setdefault(cluster, called)


def _times(staged: Object, path: str) -> Iterator[FieldError]:
    timeout = staged.get("timeout") or TIMEOUT
    healthy = (staged.get("gate") or {}).get("minSuccessTime") or "0s"
    at = f"{path}.gate.minSuccessTime"
    if not 0 < seconds_of(timeout) <= LONGEST:
        yield FieldError.invalid(f"{path}.timeout", timeout, "must be greater than 0 and at most a year")
    elif seconds_of(healthy) >= seconds_of(timeout):
        yield FieldError.invalid(at, healthy, f"must be less than the timeout, which is {timeout}")


def _unknown(strategy: Object, before: Object, around: AdmissionContext) -> Iterator[FieldError]:
    known = {name for _, name in _named(before)}
    for path, name in _named(strategy):
        if name not in known and not around.has_cluster(name):
            yield FieldError.not_found(path, name)


def _named(strategy: Object) -> Iterator[tuple[str, str]]:
    """(path, name) of each cluster."""
    staged = strategy.get("staged") or {}
    for index, name in enumerate(staged.get("order") or ()):
        yield f"{_PATH}.staged.order[{index}]", name
    for index, stage in enumerate(staged.get("stages") or ()):
        for number, name in enumerate((stage.get("targetClusters") or {}).get("clusterNames") or ()):
            yield f"{_PATH}.staged.stages[{index}].targetClusters.clusterNames[{number}]", name


def _duplicates(values: Iterable[object], path: str) -> Iterator[FieldError]:
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            yield FieldError.duplicate(path.format(index), value)
        seen.add(value)
