"""What of an object that is sent a write can change: the rest stays as it is, whoever sent it."""

from __future__ import annotations

from kafila.catalog.kind import Kind
from kafila.core.values import Object

from .context import Options


def coming_through(kind: Kind, old: Object | None, new: Object, options: Options, subresource: str) -> Object:
    """What of ``new`` the write can change: who sent the rest owns nothing of it. Webhooks see all that was sent."""
    seen = {**new, "metadata": {**new["metadata"]}}
    if old is not None and subresource == "status":
        only_status(kind, old, seen)
    elif old is not None and not subresource and keeps_status(kind, options):
        keep(old, seen, "status")
    return seen


def keeps_status(kind: Kind, options: Options) -> bool:
    """Whether a write of the object itself leaves the status as it is."""
    return kind.strategy.status and "status" in kind.subresources and not options.include_status


def only_status(kind: Kind, old: Object, new: Object) -> None:
    """A write to /status changes status alone; of most built-in kinds metadata too, of others only managedFields."""
    for field in list(new):
        if field not in ("status", "metadata", "kind", "apiVersion"):
            if field not in old:
                del new[field]
    for field, value in old.items():
        if field not in ("status", "metadata"):
            new[field] = value
    sent = new["metadata"]
    if kind.strategy.status_metadata and not kind.custom:
        for kept in kind.strategy.kept_by_status:
            keep(old["metadata"], sent, kept)
        return
    new["metadata"] = dict(old["metadata"])
    for field in ("managedFields", "resourceVersion"):
        if field in sent:
            new["metadata"][field] = sent[field]


def keep(old: Object, new: Object, field: str) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)
