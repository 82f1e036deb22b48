"""Fields that a writer of a kind does not own though it may send them (GetResetFields of Kubernetes' strategies)."""

from __future__ import annotations

from kafila.catalog.kind import Kind
from kafila.machinery.fieldset import FieldSet, field_path, from_paths

from . import certificate_signing

# of all other kinds nothing of what is not written stays
_PATHS: dict[tuple[str, str], list[list[str]]] = {
    ("nodes", ""): [["status"]],
    (certificate_signing.RESOURCE, ""): [["spec"], ["status"]],
    (certificate_signing.RESOURCE, "status"): [["spec"], ["status", "conditions"]],
    (certificate_signing.RESOURCE, "approval"): [["spec"], ["status", "certificate"]],
}
_SETS = {key: from_paths([field_path(*path) for path in paths]) for key, paths in _PATHS.items()}


def reset_fields(kind: Kind, subresource: str) -> FieldSet | None:
    return _SETS.get((kind.resource, subresource))


def reset_paths(kind: Kind, subresource: str) -> list[list[str]] | None:
    """For server-side apply. None: as the schema says."""
    if kind.definition:
        main = [["status"]] if "status" in kind.subresources else []
        return {"": main, "status": [["metadata"], ["spec"]]}.get(subresource, [])
    return _PATHS.get((kind.resource, subresource))
