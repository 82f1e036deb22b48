"""What Flux's kinds have in common: the condition Ready, `spec.suspend`, and conditions that are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kafila.placement.interpreter.thirdparty.statuses import begun, has_seen_newest, merged_conditions, newest
from kafila.placement.interpreter.thirdparty.values import at, numbered, own_map


def ready(*reasons: str) -> Callable[[Any], bool]:
    """Healthy is what is Ready for one of these reasons."""

    def is_healthy(obj: Any) -> bool:
        status = at(obj, "status")
        conditions = at(status, "conditions") if status is not None else None
        return conditions is not None and any(
            at(condition, "type") == "Ready"
            and at(condition, "status") == "True"
            and at(condition, "reason") in reasons
            for condition in numbered(conditions, "conditions")
        )

    return is_healthy


def retain(desired: Any, observed: Any) -> Any:
    """Whether it is suspended is for the member to say, once that says anything."""
    suspended = at(observed, "spec", "suspend")
    if suspended is not None:
        own_map(desired, "spec")["suspend"] = suspended
    return desired


def summed(
    start: Callable[[Mapping[str, Any]], dict[str, Any]],
    add: Callable[[dict[str, Any], Any], None],
    *,
    when_nowhere: Mapping[str, Any],
) -> Callable[[Any, Any], Any]:
    """``start(status)``: the fields of the template's status to begin with; ``add(fields, status)`` adds those of a member.

    ``when_nowhere``: what the status says when the object is in no cluster, beside conditions and observed generation.
    """

    def aggregate(obj: Any, items: Any) -> Any:
        status, generation = begun(obj)
        if not items:
            status.update(when_nowhere, conditions=[], observedGeneration=generation)
            return status
        found = start(status)
        settled = 0
        for item in items:
            member = at(item, "status")
            if member is not None:
                add(found, member)
            settled += has_seen_newest(member, generation)
        if settled == len(items):
            status["observedGeneration"] = generation
        status.update(found, conditions=merged_conditions(items))
        return status

    return aggregate


def add_texts(found: dict[str, Any], member: Any, *fields: str) -> None:
    for field in fields:
        found[field] = newest(found[field], member, field)
