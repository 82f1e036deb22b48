"""The generation that a binding has once it is stored, and the version of the template that it names."""

from __future__ import annotations

from kafila.placement.types import Binding


def with_known_version(binding: Binding, before: Binding) -> Binding:
    """``before`` itself when nothing but the template's resourceVersion differs.

    Our own writes of labels, annotations and statuses raise it too; only what users change shall show in the binding.
    """
    old = (before["spec"].get("resource") or {}).get("resourceVersion")
    resource = {**binding["spec"]["resource"], "resourceVersion": old}
    same = {**binding, "spec": {**binding["spec"], "resource": resource}} == before
    return before if same else binding


def generation_of(binding: Binding, before: Binding | None) -> int:
    """The generation that the binding has once it is stored."""
    if before is None:
        return 1
    generation: int = before["metadata"].get("generation", 1)
    return generation if binding.get("spec") == before.get("spec") else generation + 1


def with_generation(binding: Binding, before: Binding | None) -> Binding:
    return {**binding, "metadata": {**binding["metadata"], "generation": generation_of(binding, before)}}
