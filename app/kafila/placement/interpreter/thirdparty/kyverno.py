"""kyverno.io/v1: Policy and ClusterPolicy, which are alike but for their scope."""

from __future__ import annotations

from typing import Any, Final

from .calls import ThirdParty
from .flux.common import ready
from .statuses import merged_conditions, reflecting
from .values import at, number

_RULES: Final = ("validate", "generate", "mutate", "verifyimages")
_is_ready = ready("Succeeded")


def _is_healthy(obj: Any) -> Any:
    """What older versions say in `ready`, and newer ones in a condition."""
    status = at(obj, "status")
    said = at(status, "ready") if status is not None else None
    return _is_ready(obj) if said is None else said


def _aggregate(obj: Any, items: Any) -> Any:
    """Rules are summed, and made anew from what members say; `ready` and `autogen` are those of the last member that has them."""
    if items is None:
        return at(obj, "status")
    found: dict[str, Any] = {"rulecount": dict.fromkeys(_RULES, 0)}
    for item in items:
        status = at(item, "status")
        if status is None:
            continue
        for field in ("autogen", "ready"):
            value = at(status, field)
            if value is not None:
                found[field] = value
        counts = at(status, "rulecount")
        if counts is not None:
            for rule in _RULES:
                found["rulecount"][rule] += number(at(counts, rule), rule)
    found["conditions"] = merged_conditions(items)
    return found


POLICY: Final = ThirdParty(
    aggregate=_aggregate,
    reflect=reflecting("autogen", "conditions", "ready", "rulecount"),
    health=_is_healthy,
)
