"""How the functions of a third-party kind are called, and what of their results is an answer.

They get copies that they may change, without nulls, and their results are read as those of scripts are: the same is refused,
and empty lists and maps stay only where the object had them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from kafila.core.values import Object, same_json
from kafila.placement.interpreter import kube
from kafila.placement.interpreter.answers import sorted_dependencies
from kafila.placement.interpreter.answers import status as checked_status
from kafila.placement.interpreter.operations import Operation
from kafila.placement.interpreter.scripts import answer_of

from .values import plain, settled, type_of

Needs = Callable[[Any], Any]  # what a pod of a template needs: ReplicaRequirements, or None for nothing particular


class ThirdParty(NamedTuple):
    """What is known of one kind. Each function may raise InterpretError, and change what it is given."""

    replicas: Callable[[Any, Needs], tuple[Any, Any]] | None = None  # (object, needs): how many, and what each needs
    components: Callable[[Any, Needs], Any] | None = None  # (object, needs): a list of {name, replicas, …}
    revise: Callable[[Any, int], Any] | None = None  # (object, replicas): the object
    retain: Callable[[Any, Any], Any] | None = None  # (desired, observed): the desired object
    aggregate: Callable[[Any, Any], Any] | None = (
        None  # (object, items, or None for none known): the object's new status
    )
    reflect: Callable[[Any], Any] | None = None  # (observed): the status to bring back
    health: Callable[[Any], Any] | None = None  # (observed): true or false
    dependencies: Callable[[Any], Any] | None = None  # (object): a list of references


def _answer(operation: Operation, arguments: tuple[Any, ...], *results: Any) -> Any:
    return answer_of(operation, arguments, [(type_of(each), settled(each)) for each in results])


def _replicas(function: Callable[..., Any], obj: Object, with_priority_class: bool) -> Any:
    found = function(plain(obj), _needs(with_priority_class))
    return _answer(Operation.REPLICA, (obj,), *found)


def _components(function: Callable[..., Any], obj: Object, with_priority_class: bool) -> Any:
    return _answer(Operation.COMPONENT, (obj,), function(plain(obj), _needs(with_priority_class)))


def _needs(with_priority_class: bool) -> Needs:
    return partial(kube.accurate_pod_requirements, with_priority_class=with_priority_class)


def _revise(function: Callable[..., Any], obj: Object, replicas: int) -> Any:
    return _answer(Operation.REVISE_REPLICA, (obj, replicas), function(plain(obj), replicas))


def _retain(function: Callable[..., Any], desired: Object, observed: Object) -> Any:
    return _answer(Operation.RETAIN, (desired, observed), function(plain(desired), plain(observed)))


def _aggregate(function: Callable[..., Any], obj: Object, items: Any) -> Any:
    """The template with its new status; the same object when nothing changes."""
    found = function(plain(obj), None if items is None else plain(list(items)))
    answer = _answer(Operation.AGGREGATE_STATUS, (obj, items), {"status": found})
    made = answer.get("status")
    if same_json(made, obj.get("status")):
        return obj
    rest = {key: value for key, value in obj.items() if key != "status"}
    return rest if made is None else {**rest, "status": checked_status(made)}


def _reflect(function: Callable[..., Any], obj: Object) -> Any:
    return _answer(Operation.REFLECT_STATUS, (obj,), function(plain(obj)))


def _health(function: Callable[..., Any], obj: Object) -> Any:
    return _answer(Operation.HEALTH, (obj,), function(plain(obj)))


def _dependencies(function: Callable[..., Any], obj: Object) -> Any:
    return sorted_dependencies([_answer(Operation.DEPENDENCY, (obj,), function(plain(obj)))])


_CALLS: Final[Mapping[Operation, tuple[str, Callable[..., Any]]]] = {
    Operation.REPLICA: ("replicas", _replicas),
    Operation.COMPONENT: ("components", _components),
    Operation.REVISE_REPLICA: ("revise", _revise),
    Operation.RETAIN: ("retain", _retain),
    Operation.AGGREGATE_STATUS: ("aggregate", _aggregate),
    Operation.REFLECT_STATUS: ("reflect", _reflect),
    Operation.HEALTH: ("health", _health),
    Operation.DEPENDENCY: ("dependencies", _dependencies),
}


def answering(table: Mapping[str, ThirdParty], operation: Operation) -> dict[str, Callable[..., Any]]:
    """The rows of one operation, ``group/version/Kind``, as the native interpreter calls them."""
    field, call = _CALLS[operation]
    return {
        kind: partial(call, function) for kind, row in table.items() if (function := getattr(row, field)) is not None
    }
