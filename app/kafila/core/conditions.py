"""Lists of ``metav1.Condition``, changed as apimachinery's ``meta.SetStatusCondition`` changes them.

Not for kinds whose conditions have other rules: those of pods and jobs carry the time of a probe too, and a certificate
request may have several of a type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafila.core.values import AnyObject, Object

from .clock import rfc3339

Conditions = Sequence[AnyObject]


def condition(type: str, status: str, reason: str, message: str, observed_generation: int = 0) -> Object:
    """``status`` is "True", "False" or "Unknown". Without ``lastTransitionTime``, which setting it gives."""
    made: Object = {"type": type, "status": status, "reason": reason, "message": message}
    if observed_generation:
        made["observedGeneration"] = observed_generation
    return made


def conditions_of(obj: AnyObject) -> list[Object]:
    found: list[Object] = (obj.get("status") or {}).get("conditions") or []
    return found


def find(conditions: Conditions | None, type: str) -> AnyObject | None:
    return next((c for c in conditions or () if c.get("type") == type), None)


def by_type(conditions: Conditions | None) -> dict[str, AnyObject]:
    """For whoever looks for many of them: of a type that comes twice the first, as ``find`` has it."""
    return {condition["type"]: condition for condition in reversed(conditions or ()) if "type" in condition}


def is_true(conditions: Conditions | None, type: str) -> bool:
    found = find(conditions, type)
    return found is not None and found.get("status") == "True"


def with_condition(conditions: Conditions | None, new: AnyObject, now: float | None = None) -> list[Any]:
    """A new list with ``new`` set. The transition time moves only when the status does: to ``new``'s own, else to ``now``
    (Unix seconds)."""
    kept: list[AnyObject] = list(conditions or ())
    for index, old in enumerate(kept):
        if old.get("type") == new["type"]:
            kept[index] = _merged(old, new, now)
            return kept
    return [*kept, new if "lastTransitionTime" in new else {"lastTransitionTime": rfc3339(now), **new}]


def _merged(old: AnyObject, new: AnyObject, now: float | None) -> Object:
    merged = {**old, "status": new["status"], "reason": new["reason"], "message": new["message"]}
    if old.get("status") != new["status"]:
        merged["lastTransitionTime"] = new.get("lastTransitionTime") or rfc3339(now)
    if new.get("observedGeneration"):
        merged["observedGeneration"] = new["observedGeneration"]
    else:
        merged.pop("observedGeneration", None)
    return merged
