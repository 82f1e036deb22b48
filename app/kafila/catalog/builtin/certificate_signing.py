"""Certificate signing requests: who asks is what the server knows, and approval is a part of the status that nothing else changes."""

from __future__ import annotations

from kafila.catalog.kind import Requester, user_info
from kafila.core.clock import rfc3339
from kafila.core.conditions import conditions_of
from kafila.core.errors import FieldError
from kafila.core.values import Object

DECISIONS = ("Approved", "Denied")


def sign_in(obj: Object, user: Requester) -> None:
    """Puts the caller into a new request, whatever it says itself."""
    spec = obj.setdefault("spec", {})
    for field in ("username", "uid", "groups", "extra"):
        spec.pop(field, None)
    spec |= user_info(user)


def only_conditions(new: Object, old: Object) -> None:
    """A write to /approval changes conditions alone."""
    conditions = (new.get("status") or {}).get("conditions")
    status = {name: value for name, value in (old.get("status") or {}).items() if name != "conditions"}
    if conditions:
        status["conditions"] = conditions
    new["spec"], new["status"] = old.get("spec") or {}, status
    _stamp(old, new)


def keep_decisions(new: Object, old: Object) -> None:
    """A write to /status keeps the decisions that were made, word for word."""
    for decision in DECISIONS:
        made, sent = _of_type(old, decision), _of_type(new, decision)
        if len(made) == len(sent):  # else it is refused
            for was, condition in zip(made, sent, strict=True):
                condition.clear()
                condition.update(was)
    _stamp(old, new)


def check_update(new: Object, old: Object, subresource: str) -> list[FieldError]:
    """What a write may not do to conditions and certificate."""
    found: list[FieldError] = []
    path = "status.conditions"
    if all(_of_type(new, decision) for decision in DECISIONS) and not all(_of_type(old, d) for d in DECISIONS):
        second = [c for c in conditions_of(new) if c.get("type") in DECISIONS][-1]["type"]
        found.append(FieldError.invalid(path, second, "Approved and Denied conditions are mutually exclusive"))
    for kept in (*DECISIONS, "Failed"):
        more = len(_of_type(new, kept)) - len(_of_type(old, kept))
        if more < 0:
            found.append(FieldError.forbidden(path, f'updates may not remove a condition of type "{kept}"'))
        elif more > 0 and kept in DECISIONS and subresource != "approval":
            found.append(FieldError.forbidden(path, f'updates may not add a condition of type "{kept}"'))
    was, certificate = ((obj.get("status") or {}).get("certificate") for obj in (old, new))
    if was and certificate != was:
        why = "updates may not modify existing certificate content"
        found.append(FieldError.forbidden("status.certificate", why))
    return found


def _stamp(old: Object, new: Object) -> None:
    """Not as ``meta.SetStatusCondition``: a time that is sent stays, and there may be several of a type."""
    now = rfc3339()
    known = {(c.get("type"), c.get("status")): c.get("lastTransitionTime") for c in conditions_of(old)}
    for condition in conditions_of(new):
        if not condition.get("lastTransitionTime"):
            condition["lastTransitionTime"] = known.get((condition.get("type"), condition.get("status"))) or now
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now


def _of_type(obj: Object, kind: str) -> list[Object]:
    return [condition for condition in conditions_of(obj) if condition.get("type") == kind]
