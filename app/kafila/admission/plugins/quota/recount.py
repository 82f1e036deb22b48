"""What the objects of a namespace use of a quota: the status that the controller writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from kafila.core.pod_resources import Amounts, amounts
from kafila.core.quantity import Quantity
from kafila.core.values import Object

from .evaluators import ZERO, Counted, evaluator_of
from .scopes import scopes_of


class Stored(Protocol):
    def decode(self) -> Object: ...


def is_only_counted(quota: Object, resource: str) -> bool:
    """Whether nobody has to look at the objects of this resource."""
    return isinstance(evaluator_of(resource), Counted) and next(scopes_of(quota), None) is None


def status_of(quota: Object, used_by: Mapping[str, int | Sequence[Stored]], now: float) -> Object:
    """``used_by``: of each resource that the quota bounds the objects that its namespace has, or their number.

    What nobody counts keeps what was used of it.
    """
    hard = (quota.get("spec") or {}).get("hard") or {}
    scopes = list(scopes_of(quota))
    counted: Amounts = {}
    for resource, found in used_by.items():
        evaluator = evaluator_of(resource)
        if evaluator is None:
            continue
        names = [name for name in hard if evaluator.bounds(name)]
        counted |= dict.fromkeys(names, ZERO)
        if isinstance(found, int):
            one = evaluator.usage({}, now)
            counted |= {name: Quantity(one[name].nano * found) for name in names}
            continue
        for stored in found:
            obj = stored.decode()
            if all(evaluator.in_scope(scope, obj) for scope in scopes):
                for name, amount in evaluator.usage(obj, now).items():
                    if name in names:
                        counted[name] = counted[name] + amount
    before = amounts((quota.get("status") or {}).get("used"))
    used = {name: counted.get(name, before.get(name)) for name in hard}
    return {"hard": dict(hard), "used": {name: str(amount) for name, amount in used.items() if amount is not None}}
