"""The binding that the policy asks for (Karmada's detector)."""

from __future__ import annotations

from kafila.placement.detector import binding as bindings
from kafila.placement.generation import with_known_version
from kafila.placement.scheduler.schedule import Event

from .facts import Facts
from .state import State


def build_binding(state: State, facts: Facts) -> State:
    """Raises BindingError."""
    template, policy, before = state.template, state.policy, state.before
    if policy is None:
        return state
    binding = bindings.build_binding(
        template,
        policy,
        before,
        called=facts.name_of_binding(template) if before is None else "",
        interpreter=facts.interpreter,
        gates=facts.gates,
        priority_classes=facts.priority_classes(),
    )
    if state.keep_version and before is not None:
        binding = with_known_version(binding, before)
    if binding is before:
        return state._replace(binding=binding)
    events = bindings.applied_events(template, policy, facts.interpreter, facts.gates)
    return state._replace(binding=binding, events=(*state.events, *(Event(*each) for each in events)))
