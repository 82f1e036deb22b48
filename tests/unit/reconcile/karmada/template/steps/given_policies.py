"""What a template is reconciled for, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kafila.core.feature_gates import DEFAULT_GATES, Gates
from kafila.core.values import Object
from kafila.placement.detector.binding import claim
from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.steps.template_state import StoredBinding, TemplateState
from tests.unit.placement.objects import deployment, policy, selector


@dataclass
class GivenPolicies:
    """`PolicyFacts` that a test knows."""

    policies: Sequence[Object] = ()
    overrides: set[tuple[str, str]] = field(default_factory=set)
    gates: Gates = DEFAULT_GATES

    def policy(self, namespace: str, name: str) -> Object | None:
        found = (each for each in self.policies if each["metadata"].get("namespace", "") == namespace)
        return next((each for each in found if each["metadata"]["name"] == name), None)

    def candidates(self, template: Object) -> tuple[Sequence[Object], Sequence[Object]]:
        own = [each for each in self.policies if each["metadata"].get("namespace")]
        return own, [each for each in self.policies if each not in own]

    def override_exists(self, namespace: str, name: str) -> bool:
        return (namespace, name) in self.overrides


def selecting(name: str = "pp", namespace: str = "default", **spec: Any) -> Object:
    return policy(name, namespace, resourceSelectors=[selector()], **spec)


def state(
    why: EnqueueReason = EnqueueReason.USER,
    binding: StoredBinding = StoredBinding.NONE,
    claimed_by: Object | None = None,
    **known: Any,
) -> TemplateState:
    template = deployment() if claimed_by is None else claim(deployment(), claimed_by)
    return TemplateState(template, why, binding, **known)
