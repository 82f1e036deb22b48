"""Revisions of a template: what counts as a new one, and how an old one is kept.

A revision is what members get, but for the number of replicas: that follows at once, whichever revision a cluster has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

import orjson

from kafila.core.resources import gvk_of
from kafila.core.values import AnyObject, Object, copy_json
from kafila.placement import constants
from kafila.placement.detector.binding import controller_reference
from kafila.placement.interpreter import NATIVE, Interpreter, Operation
from kafila.placement.objects import annotations_of, identity, metadata, name, namespace, own_map, uid
from kafila.placement.types import RolloutStatus
from kafila.placement.work.prune import prune

GROUP: Final = "placement.kafila.io"
API_VERSION: Final = f"{GROUP}/v1alpha1"
REVISION: Final = f"{GROUP}/revision"  # annotation of manifests that a rollout brings, and so of members' objects
DIGITS: Final = 16
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# Whose it is and how it came here is no content of it.
_LABELS: Final = (constants.PP_PERMANENT_ID, constants.CPP_PERMANENT_ID)
_ANNOTATIONS: Final = (
    constants.PP_NAMESPACE,
    constants.PP_NAME,
    constants.CPP_NAME,
    constants.TEMPLATE_GENERATION,
    REVISION,
    _LAST_APPLIED,
)


def revision_of(template: Object, interpreter: Interpreter = NATIVE) -> str:
    """The same for templates, or manifests for one cluster, that only differ in replicas, status and bookkeeping. Raises InterpretError."""
    content = prune(copy_json(template))
    if interpreter.hook_enabled(gvk_of(template), Operation.REVISE_REPLICA):
        content = copy_json(interpreter.revise_replica(content, 1))
    meta = own_map(content, "metadata")
    for field, dropped in (("labels", _LABELS), ("annotations", _ANNOTATIONS)):
        kept = {key: value for key, value in (meta.pop(field, None) or {}).items() if key not in dropped}
        if kept:
            meta[field] = kept
    encoded = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(encoded).hexdigest()[:DIGITS]


def is_same_content(one: Object, other: Object, interpreter: Interpreter = NATIVE) -> bool:
    """Do they differ in labels and annotations only, which raise no generation? Raises InterpretError."""
    first, second = (revision_of(_without_notes(each), interpreter) for each in (one, other))
    return first == second


def _without_notes(template: Object) -> Object:
    kept = {key: value for key, value in metadata(template).items() if key not in ("labels", "annotations")}
    return {**template, "metadata": kept}


def marked(template: Object, revision: str) -> Object:
    """The template with the revision said in it, for Works; nothing that it shares is changed."""
    annotations = {**annotations_of(template), REVISION: revision}
    return {**template, "metadata": {**metadata(template), "annotations": annotations}}


def kept_revision(binding: AnyObject, template: Object, revision: str) -> Object:
    """The TemplateRevision, or ClusterTemplateRevision, to be stored. It goes with the template."""
    content = copy_json(template)
    content.pop("status", None)
    own_map(content, "metadata").pop("managedFields", None)
    where = namespace(binding)
    owner = {key: value for key, value in controller_reference(template).items() if key != "controller"}
    meta: Object = {
        "name": name_of(binding, revision),
        "ownerReferences": [{**owner, "blockOwnerDeletion": False}],
    }
    if where:
        meta["namespace"] = where
    return {
        "apiVersion": API_VERSION,
        "kind": "TemplateRevision" if where else "ClusterTemplateRevision",
        "metadata": meta,
        "revision": revision,
        "template": content,
    }


def name_of(binding: AnyObject, revision: str) -> str:
    """Of the object that keeps a revision of a binding's template. A long name of a binding is cut and told apart by its hash."""
    called = name(binding)
    most = 253 - DIGITS - 1
    if len(called) > most:
        called = f"{called[: most - DIGITS]}{hashlib.sha256(called.encode()).hexdigest()[:DIGITS]}"
    return f"{called}-{revision}"


def template_in(kept: AnyObject | None, template: Object, revision: str) -> Object | None:
    """What is kept of ``template`` in an object of that name; None where it is another object's, or another revision."""
    if kept is None or kept.get("revision") != revision:
        return None
    found = kept.get("template")
    if not isinstance(found, dict) or identity(found) != identity(template) or uid(found) != uid(template):
        return None
    return found


def revisions_in(rollout: RolloutStatus | None) -> frozenset[str]:
    """Those that have to be kept."""
    return frozenset(_named(rollout)) if rollout is not None else frozenset()


def _named(rollout: RolloutStatus) -> Iterator[str]:
    for found in (rollout["revision"], rollout.get("stableRevision")):
        if found:
            yield found
    for row in rollout.get("clusters") or ():
        if row.get("revision"):
            yield row["revision"]
