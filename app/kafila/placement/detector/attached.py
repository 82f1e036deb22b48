"""Bindings of dependencies: they follow the clusters of the bindings that need them, their parents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kafila.core import gostrings, selectors
from kafila.core.values import AnyObject, Object, copy_json
from kafila.placement import constants
from kafila.placement.applied_placement import LABEL_SELECTOR
from kafila.placement.detector.binding import BINDING_API, BindingError, controller_reference, resource_reference
from kafila.placement.gojson import Field, array, string, struct
from kafila.placement.objects import (
    annotations_of,
    labels_of,
    name,
    namespace,
    uid,
)
from kafila.placement.types import Binding, BindingSnapshot, ResourceBindingSpec

_DEPENDENCIES: Final = array(
    struct(
        Field("apiVersion", string, keep_empty=True, zero='""'),
        Field("kind", string, keep_empty=True, zero='""'),
        Field("namespace", string),
        Field("name", string),
        Field("labelSelector", LABEL_SELECTOR, is_pointer=True),
    )
)


def dependencies_text(dependencies: Sequence[Object] | None) -> str:
    """The annotation ``resourcebinding.karmada.io/dependencies`` of a parent."""
    return "null" if dependencies is None else _DEPENDENCIES(dependencies)


def dependencies_event(dependencies: Sequence[Object]) -> str:
    """The message of GetDependenciesSucceed: the list as Go's ``%+v`` prints it."""
    return f"Get dependencies([{' '.join(map(_printed, dependencies))}]) succeed."


def _printed(dependency: Object) -> str:
    named = [
        f"{field}:{dependency.get(key) or ''}"
        for field, key in (("APIVersion", "apiVersion"), ("Kind", "kind"), ("Namespace", "namespace"), ("Name", "name"))
    ]
    return f"{{{' '.join(named)} LabelSelector:{gostrings.label_selector(dependency.get('labelSelector'))}}}"


def with_dependencies(parent: Binding, dependencies: Sequence[Object] | None) -> Binding:
    """The parent with what it depends on written down, and held until its dependents know of its end.

    The same object when nothing changes.
    """
    meta, text = parent["metadata"], dependencies_text(dependencies)
    finalizers = list(meta.get("finalizers") or ())
    annotations = annotations_of(parent)
    if constants.FINALIZER_DEPENDENCIES in finalizers and annotations.get(constants.RB_DEPENDENCIES) == text:
        return parent
    if constants.FINALIZER_DEPENDENCIES not in finalizers:
        finalizers.append(constants.FINALIZER_DEPENDENCIES)
    return {
        **parent,
        "metadata": {
            **meta,
            "annotations": {**annotations, constants.RB_DEPENDENCIES: text},
            "finalizers": finalizers,
        },
    }


def is_dependency(resource: AnyObject, labels: dict[str, str], dependencies: Sequence[Object]) -> bool:
    """Is the object that ``resource`` names, with these ``labels``, one of those that are depended on?"""
    return any(
        all((each.get(field) or "") == (resource.get(field) or "") for field in ("apiVersion", "kind"))
        and _looks_in(each, resource.get("namespace") or "")
        and refers_to(each, resource.get("name") or "", labels)
        for each in dependencies
    )


def _looks_in(dependency: Object, where: str) -> bool:
    """A selector without a namespace looks everywhere."""
    named = dependency.get("namespace") or ""
    return named == where or not (named or dependency.get("name"))


def refers_to(dependency: Object, called: str, labels: dict[str, str]) -> bool:
    """By its name, or without one by its selector. Raises SelectorError."""
    if dependency.get("name"):
        return bool(dependency["name"] == called)
    selector = dependency.get("labelSelector")
    return selector is not None and selectors.from_object(selector).matches(labels)


def parent_keys(binding: Binding) -> list[tuple[str, str]]:
    """(namespace, name) of the parents of an attached binding; they are in its own namespace."""
    where, parents = namespace(binding), binding["spec"].get("requiredBy") or ()
    return [(where, each["name"]) for each in parents if (each.get("namespace") or "") == where]


def required_in(binding: Binding, parent: Binding) -> frozenset[str]:
    """The clusters that an attached binding is required in for that parent."""
    snapshots = binding["spec"].get("requiredBy") or ()
    found = [each for each in snapshots if (each.get("namespace") or "", each["name"]) == _key(parent)]
    return frozenset(target["name"] for each in found for target in each.get("clusters") or ())


def attach(
    parent: Binding, dependency: Object, existing: Binding | None, others: Iterable[Binding] = (), *, called: str = ""
) -> tuple[Binding, str]:
    """The binding of ``dependency`` with ``parent`` among its parents, and the text of a DependencyPolicyConflict or "".

    ``others``: the further parents that ``existing`` has; ``called``: the name of a new one, Karmada's when not given. The same object as ``existing`` when nothing changes. Raises
    BindingError while a binding of an earlier object with this name is there.
    """
    if existing is not None:
        _check_owner(existing, dependency)
    binding = copy_json(existing) if existing is not None else _new_binding(dependency, namespace(parent), called)
    wanted = binding["spec"]
    wanted["resource"] = resource_reference(dependency)
    labels = {**labels_of(binding), constants.depended_by_label(namespace(parent), name(parent)): _binding_id(parent)}
    binding["metadata"]["labels"] = labels
    wanted["requiredBy"] = _with_snapshot(wanted.get("requiredBy") or [], parent)
    conflict = ""
    if wanted.get("placement") is None:
        conflict = _settle(wanted, [parent, *(other for other in others if _key(other) != _key(parent))])
    return (existing, conflict) if existing is not None and binding == existing else (binding, conflict)


def detach(binding: Binding, parent_namespace: str, parent_name: str, others: Sequence[Binding] = ()) -> Binding:
    """The binding without that parent; it stays until its object goes. ``others``: the parents that it keeps."""
    detached = copy_json(binding)
    labels = detached["metadata"].get("labels") or {}
    labels.pop(constants.depended_by_label(parent_namespace, parent_name), None)
    wanted = detached["spec"]
    kept = [
        each
        for each in wanted.get("requiredBy") or ()
        if (each.get("namespace") or "", each["name"]) != (parent_namespace, parent_name)
    ]
    wanted["requiredBy"] = kept
    if not kept:
        del wanted["requiredBy"]
    if wanted.get("placement") is None:
        if kept:
            _settle(wanted, others)
        else:
            wanted.pop("conflictResolution", None)
            wanted.pop("preserveResourcesOnDeletion", None)
    return detached


def _new_binding(dependency: Object, where: str, called: str) -> Binding:
    called = called or constants.binding_name(dependency.get("kind") or "", name(dependency))
    identity = constants.permanent_id(constants.RB_PERMANENT_ID, uid(dependency), where, called)
    return {
        "apiVersion": BINDING_API,
        "kind": "ResourceBinding",
        "metadata": {
            "name": called,
            "namespace": where,
            "labels": {constants.RB_PERMANENT_ID: identity},
            "finalizers": [constants.FINALIZER_BINDING],
            "ownerReferences": [controller_reference(dependency)],
        },
        "spec": {"resource": resource_reference(dependency)},
    }


def _check_owner(existing: Binding, dependency: Object) -> None:
    owner = next((o for o in existing["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    if owner is not None and owner.get("uid") != uid(dependency):
        raise BindingError(
            f"failed to update resourceBinding({namespace(existing)}/{name(existing)}) due to different owner reference "
            "UID, will try again later after binding is garbage collected, see "
            "https://github.com/karmada-io/karmada/issues/6034"
        )


def _key(binding: Binding) -> tuple[str, str]:
    return namespace(binding), name(binding)


def _binding_id(binding: Binding) -> str:
    return labels_of(binding).get(constants.RB_PERMANENT_ID, "")


def _with_snapshot(old: Sequence[BindingSnapshot], parent: Binding) -> list[BindingSnapshot]:
    snapshot: BindingSnapshot = {"namespace": namespace(parent), "name": name(parent)}
    if parent["spec"].get("clusters"):
        snapshot["clusters"] = copy_json(parent["spec"]["clusters"])
    found = [snapshot if (each.get("namespace") or "", each["name"]) == _key(parent) else each for each in old]
    return found if snapshot in found else [*found, snapshot]


def _settle(wanted: ResourceBindingSpec, parents: Sequence[Binding]) -> str:
    """What the parents ask for together: Overwrite and preservation win. Says where they disagree."""
    overwrite, preserve = _asked(parents)
    wanted["conflictResolution"] = constants.OVERWRITE if True in overwrite else constants.ABORT
    wanted["preserveResourcesOnDeletion"] = True in preserve
    return conflict_of(parents)


def _asked(parents: Sequence[Binding]) -> tuple[set[bool], set[bool]]:
    """Whether to overwrite, and whether to preserve: the different answers."""
    overwrite = {parent["spec"].get("conflictResolution") == constants.OVERWRITE for parent in parents}
    return overwrite, {bool(parent["spec"].get("preserveResourcesOnDeletion")) for parent in parents}


def conflict_of(parents: Sequence[Binding]) -> str:
    """The text of a DependencyPolicyConflict, "" when they agree."""
    overwrite, preserve = _asked(parents)
    reasons = []
    if len(overwrite) > 1:
        reasons.append("ConflictResolution conflicted (Overwrite vs Abort)")
    if len(preserve) > 1:
        reasons.append("PreserveResourcesOnDeletion conflicted (true vs false)")
    return f"Dependency policy conflict detected: {'; '.join(reasons)}." if reasons else ""
