"""Fields that a writer of a kind does not own though it may send them (GetResetFields of Kubernetes' strategies)."""

from __future__ import annotations

from functools import cache

from kafila.catalog.kind import Kind
from kafila.machinery.fieldset import FieldSet, field_path, from_paths


def reset_fields(kind: Kind, subresource: str) -> FieldSet | None:
    paths = kind.strategy.reset_fields.get(subresource)
    return _set(paths) if paths is not None else None


@cache
def _set(paths: tuple[tuple[str, ...], ...]) -> FieldSet:
    return from_paths([field_path(*path) for path in paths])


def reset_paths(kind: Kind, subresource: str) -> list[list[str]] | None:
    """For server-side apply. None: as the schema says."""
    if kind.definition:
        main = [["status"]] if "status" in kind.subresources else []
        return {"": main, "status": [["metadata"], ["spec"]]}.get(subresource, [])
    paths = kind.strategy.reset_fields.get(subresource)
    return [list(path) for path in paths] if paths is not None else None
