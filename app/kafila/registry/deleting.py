"""What a DELETE does to an object that cannot vanish at once (k8s.io/apiserver/pkg/registry/rest BeforeDelete)."""

from __future__ import annotations

import time

from kafila.catalog.kind import Kind
from kafila.core.clock import rfc3339
from kafila.core.values import Object

from .context import DeleteOptions

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


def mark_deleted(kind: Kind, old: Object, options: DeleteOptions, now: str) -> Object | None:
    """The object marked for deletion; None when it can go at once; ``old`` itself when nothing changes."""
    strategy, metadata = kind.strategy, old["metadata"]
    if strategy.begin_deletion is not None and not metadata.get("deletionTimestamp"):
        return strategy.begin_deletion(old, now)
    finalizers = _finalizers(kind, metadata.get("finalizers") or [], options)
    held = bool(finalizers) or strategy.is_held(old)
    grace = _grace_period(kind, old, options)
    if not held and not grace:
        return None
    if metadata.get("deletionTimestamp"):
        shorter = grace < metadata.get("deletionGracePeriodSeconds", 0)
        if finalizers == (metadata.get("finalizers") or []) and not shorter:
            return old
        marked = dict(metadata)
        if shorter:
            marked["deletionGracePeriodSeconds"] = grace
    else:
        marked = dict(metadata)
        marked["deletionTimestamp"] = rfc3339(time.time() + grace) if grace else now
        marked["deletionGracePeriodSeconds"] = grace
        if strategy.generation_fields is not None and marked.get("generation"):
            marked["generation"] += 1
    if finalizers:
        marked["finalizers"] = finalizers
    else:
        marked.pop("finalizers", None)
    out = dict(old)
    out["metadata"] = marked
    strategy.prepare_for_delete(out)
    return out


def mark_at_once(old: Object, now: str) -> Object:
    """What the deletion of an object is answered that could end gracefully and has nothing to wait for."""
    metadata = {**old["metadata"], "deletionTimestamp": now, "deletionGracePeriodSeconds": 0}
    if metadata.get("generation"):
        metadata["generation"] += 1
    return {**old, "metadata": metadata}


def _finalizers(kind: Kind, current: list[str], options: DeleteOptions) -> list[str]:
    """propagationPolicy is remembered as a finalizer that the garbage collector works off."""
    default, said = kind.strategy.dependents, options.propagation
    if default is None:
        said = "Background"
    elif said is None:
        if ORPHAN in current or FOREGROUND in current:
            return current
        said = default
    kept = [f for f in current if f not in (ORPHAN, FOREGROUND)]
    if said == "Orphan":
        kept.append(ORPHAN)
    elif said == "Foreground":
        kept.append(FOREGROUND)
    return kept


def _grace_period(kind: Kind, obj: Object, options: DeleteOptions) -> int:
    """Only pods end gracefully, and only those that run somewhere."""
    if not kind.strategy.graceful:
        return 0
    spec = obj.get("spec") or {}
    phase = (obj.get("status") or {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    if options.grace_period is not None:
        return max(options.grace_period, 0)
    return spec.get("terminationGracePeriodSeconds", 30)
