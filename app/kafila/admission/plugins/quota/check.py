"""What a write needs of the quotas of its namespace, and which of them have it."""

from __future__ import annotations

from collections.abc import Iterable

from kafila.core.pod_resources import Amounts, amounts
from kafila.core.values import Object

from .evaluators import ZERO, Evaluator
from .scopes import scopes_of


class Exceeded(Exception):
    """The message says which quota refuses the write and why."""


def charged(
    quotas: Iterable[Object], evaluator: Evaluator, new: Object, old: Object | None, subresource: str, now: float
) -> list[tuple[Object, Amounts]]:
    """The quotas that this write uses something of, each with all that is used then. Raises Exceeded."""
    if not evaluator.handles(new, old, subresource):
        return []
    concerned = [quota for quota in quotas if _matches(quota, evaluator, new)]
    for quota in concerned:
        _check_is_known(quota, evaluator, new)
    usage = evaluator.usage(new, now)
    negative = sorted(name for name, amount in usage.items() if amount < ZERO)
    if negative:
        raise Exceeded(f"quota usage is negative for resource(s): {','.join(negative)}")
    out = []
    for quota in concerned:
        more = usage
        if old is not None and _matches(quota, evaluator, old):
            more = _growth(usage, evaluator.usage(old, now))
        more = {name: amount for name, amount in more.items() if amount}
        if more:
            found = _with_usage(quota, more, only_told=subresource == "status")
            if found is not None:
                out.append((quota, found))
    return out


def _matches(quota: Object, evaluator: Evaluator, obj: Object) -> bool:
    hard = (quota.get("status") or {}).get("hard") or {}
    if not any(evaluator.bounds(name) for name in hard):
        return False
    return all(evaluator.in_scope(scope, obj) for scope in scopes_of(quota))


def _check_is_known(quota: Object, evaluator: Evaluator, obj: Object) -> None:
    status = quota.get("status") or {}
    name = quota["metadata"]["name"]
    bounded = frozenset(filter(evaluator.bounds, status.get("hard") or ()))
    missing = evaluator.unmeasured(bounded, obj)
    if missing:
        raise Exceeded(f"failed quota: {name}: {missing}")
    if not bounded <= set(status.get("used") or ()):
        raise Exceeded(f"status unknown for quota: {name}, resources: {','.join(sorted(bounded))}")


def _growth(usage: Amounts, before: Amounts) -> Amounts:
    """What is freed is not given back here, but once it is seen to be free."""
    grown = {name: max(amount - before[name], ZERO) if name in before else amount for name, amount in usage.items()}
    return grown | {name: ZERO for name in before if name not in usage}


def _with_usage(quota: Object, more: Amounts, *, only_told: bool) -> Amounts | None:
    """None when the quota bounds nothing of it. ``only_told``: a status tells what is so already, and is not refused."""
    status = quota.get("status") or {}
    hard, used = amounts(status.get("hard")), amounts(status.get("used"))
    requested = {name: amount for name, amount in more.items() if name in hard}
    if not requested:
        return None
    total = used | {name: used[name] + amount if name in used else amount for name, amount in requested.items()}
    exceeded = sorted(name for name in requested if total[name] > hard[name])
    if exceeded and not only_told:
        shown = (",".join(f"{name}={of.get(name, ZERO)}" for name in exceeded) for of in (requested, used, hard))
        texts = zip(("requested", "used", "limited"), shown, strict=True)
        told = ", ".join(f"{what}: {text}" for what, text in texts)
        raise Exceeded(f"exceeded quota: {quota['metadata']['name']}, {told}")
    return total
