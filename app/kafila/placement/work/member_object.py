"""What is written to a member cluster: the desired manifest merged with what the member itself has in the object."""

from __future__ import annotations

from kafila.core.resources import gvk_of
from kafila.core.values import Object, copy_json
from kafila.placement import constants
from kafila.placement.interpreter import NATIVE, Interpreter, Operation
from kafila.placement.objects import (
    annotations_of,
    labels_of,
    metadata,
    name,
    namespace,
    own_map,
)
from kafila.placement.objects import semantically_equal as equal
from kafila.placement.work.prune import prune


class NotManaged(Exception):
    """The object in the member is someone else's, and nobody asked us to overwrite it."""


def is_managed(obj: Object) -> bool:
    return labels_of(obj).get(constants.MANAGED) == constants.TRUE


def member_update(
    desired: Object, observed: Object, cluster: str = "", *, interpreter: Interpreter = NATIVE
) -> Object | None:
    """The object to PUT, or None when the member has it already. Raises NotManaged, RetainError.

    ``cluster`` is only for the message. Neither argument is changed.
    """
    _check_ownership(desired, observed, cluster)
    merged = keep_member_fields(copy_json(desired), observed)
    if interpreter.hook_enabled(gvk_of(merged), Operation.RETAIN):
        merged = interpreter.retain(merged, copy_json(observed))
    present = keep_member_fields(prune(copy_json(observed)), observed)
    if equal(merged, present) or equal(keep_member_fields(prune(copy_json(merged)), observed), present):
        return None  # what was retained may be what is pruned
    return merged


def _check_ownership(desired: Object, observed: Object, cluster: str) -> None:
    if (
        is_managed(observed)
        or annotations_of(desired).get(constants.CONFLICT_RESOLUTION) == constants.CONFLICT_OVERWRITE
    ):
        return
    raise NotManaged(
        f"resource(kind={desired.get('kind')}, {namespace(desired)}/{name(desired)}) already exists in the cluster "
        f"{cluster} and the {constants.CONFLICT_RESOLUTION} strategy value is empty, Karmada will not manage this resource"
    )


def keep_member_fields(desired: Object, observed: Object) -> Object:
    """Take over version, finalizers and owners, and the labels and annotations that the member added. Changes ``desired``."""
    meta, found = own_map(desired, "metadata"), metadata(observed)
    for field in ("resourceVersion", "finalizers", "ownerReferences"):
        if found.get(field):
            meta[field] = found[field]
        else:
            meta.pop(field, None)
    ours = annotations_of(observed)
    for field, record in (("annotations", constants.MANAGED_ANNOTATIONS), ("labels", constants.MANAGED_LABELS)):
        wanted = meta.get(field) or {}
        # What we had put there and no longer want was removed from the template: it goes.
        removed = set((ours.get(record) or "").split(",")) - wanted.keys()
        kept = {k: v for k, v in (found.get(field) or {}).items() if k not in removed}
        merged = {**kept, **wanted}
        if merged:
            meta[field] = merged
    return desired
