"""What is to be admitted (k8s.io/apiserver/pkg/admission.Attributes)."""

from __future__ import annotations

from typing import Final, NamedTuple

from kafila.catalog.kind import Kind, Requester
from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object

NAMESPACES: Final = "namespaces"


class Attributes(NamedTuple):
    """``kind``: whose path the request has. ``shown``: of what kind the objects are, which a subresource decides.

    ``namespace`` is a namespace's own name where the request is about one. ``new`` is None for DELETE, ``old`` for CREATE.
    """

    kind: Kind
    shown: GroupVersionKind
    operation: str  # CREATE, UPDATE, DELETE, CONNECT
    name: str
    namespace: str
    new: Object | None
    old: Object | None
    user: Requester
    subresource: str = ""
    options: Object | None = None  # CreateOptions, PatchOptions …
    dry_run: bool = False

    def with_new(self, new: Object | None) -> Attributes:
        return Attributes(  # a half of what _replace takes
            self.kind,
            self.shown,
            self.operation,
            self.name,
            self.namespace,
            new,
            self.old,
            self.user,
            self.subresource,
            self.options,
            self.dry_run,
        )

    @property
    def labels(self) -> tuple[Object | None, Object | None]:
        """Of the new and of the old object; None where there is no such object."""
        return _labels(self.new), _labels(self.old)


def namespace_asked(kind: Kind, namespace: str, name: str) -> str:
    """That a request is about: of a request for a namespace itself, its own name."""
    return name if kind.resource == NAMESPACES else namespace


def _labels(obj: Object | None) -> Object | None:
    if obj is None:
        return None
    metadata = obj.get("metadata")
    return (metadata.get("labels") or {}) if isinstance(metadata, dict) else {}
