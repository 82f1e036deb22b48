"""The operations on a kind, independent of the OpenAPI dialect they are written in.

kubectl looks here for what the server can do: PATCH's query parameters (``fieldValidation``, ``dryRun``) and its media
types (whether there is a strategic merge).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from kafila.core.resources import GroupVersionKind

from .catalog import Subresource, Version, subresources_of
from .kind import Kind
from .openapi_types import META, name_of, type_name

PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json")
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON_TYPES = ("application/json", "application/yaml")
PROTOBUF = "application/vnd.kubernetes.protobuf"
STREAM_TYPES = ("application/json;stream=watch",)
PROTOBUF_STREAM = "application/vnd.kubernetes.protobuf;stream=watch"

# name -> (type, description)
PARAMETERS: dict[str, tuple[str, str]] = {
    "allowWatchBookmarks": ("boolean", "Ask for events of type BOOKMARK in a watch."),
    "continue": ("string", "Token of the previous page: answers the page after it."),
    "dryRun": ("string", "With All, everything is checked and nothing is stored."),
    "fieldManager": ("string", "Name of who makes this change, at most 128 characters. Required for apply patches."),
    "fieldSelector": ("string", "Restricts the objects by their fields."),
    "fieldValidation": (
        "string",
        "What becomes of unknown and duplicate fields. Ignore: they are dropped. Warn (the default): they are dropped "
        "with a warning each. Strict: the request fails.",
    ),
    "force": ("boolean", "Take over fields that others manage. Only for apply patches."),
    "gracePeriodSeconds": ("integer", "Seconds before the object goes away; 0 deletes at once."),
    "labelSelector": ("string", "Restricts the objects by their labels."),
    "limit": ("integer", "Most objects to answer at once; the rest is fetched with the continue token."),
    "orphanDependents": ("boolean", "Deprecated: use propagationPolicy."),
    "pretty": ("string", "With true, the answer is indented."),
    "propagationPolicy": ("string", "What becomes of dependents: Orphan, Background or Foreground."),
    "resourceVersion": ("string", "How current the answer has to be."),
    "resourceVersionMatch": ("string", "How resourceVersion applies to a list: Exact or NotOlderThan."),
    "sendInitialEvents": ("boolean", "Begin a watch with the objects there are, then a bookmark."),
    "timeoutSeconds": ("integer", "Ends a list or watch after this time."),
    "watch": ("boolean", "Answer changes as a stream of events."),
}
PATH_PARAMETERS = {
    "name": "Name of the {kind}.",
    "namespace": "Namespace of the object.",
    "path": "Path of the request that is passed on.",
}
_LIST = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_DELETE = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_COLLECTION = tuple(name for name in _LIST if name not in ("allowWatchBookmarks", "watch"))
_WRITE = ("dryRun", "fieldManager", "fieldValidation")


@final
@dataclass(slots=True, frozen=True)
class Operation:
    path: str
    method: str  # "get", "put", "post", "delete", "patch"
    action: str  # x-kubernetes-action
    operation_id: str
    description: str
    tag: str
    gvk: GroupVersionKind
    parameters: tuple[str, ...]  # of the query
    kind: str  # whose {name} the path has
    body: str | None = None  # definition of the request's body
    consumes: tuple[str, ...] = ("*/*",)
    answer: str | None = None  # definition of the answer; None is text
    codes: tuple[int, ...] = (200,)
    produces: tuple[str, ...] = JSON_TYPES


def operations(version: Version) -> Iterator[Operation]:
    for kind in version.kinds:
        names = _Names(version, kind)
        yield from names.collection()
        yield from names.item()
        for sub in subresources_of(kind):
            yield from names.subresource(sub)


@final
class _Names:
    """Paths and identifiers of one kind, and its operations."""

    def __init__(self, version: Version, kind: Kind) -> None:
        self.kind, self.version = kind, version
        base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        self.all_namespaces = f"{base}/{kind.plural}"
        self.root = f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else self.all_namespaces
        self.group = _camel(kind.group.removesuffix(".k8s.io") or "core")
        self.suffix = self.group[:1].upper() + self.group[1:] + kind.version[:1].upper() + kind.version[1:]
        self.scope = "Namespaced" if kind.namespaced else ""
        self.object = type_name(kind)

    def collection(self) -> Iterator[Operation]:
        kind, verbs = self.kind, self.kind.verbs
        if "list" in verbs:
            identity = (f"list{self.suffix}{self.scope}{kind.kind}", f"list or watch objects of kind {kind.kind}")
            streams = STREAM_TYPES if kind.custom else (*STREAM_TYPES, PROTOBUF_STREAM)
            yield self._operation(self.root, "get", "list", identity, _LIST, answer=f"{self.object}List", more=streams)
            if kind.namespaced:
                identity = (f"list{self.suffix}{kind.kind}ForAllNamespaces", identity[1])
                yield self._operation(
                    self.all_namespaces, "get", "list", identity, _LIST, answer=f"{self.object}List", more=streams
                )
        if "create" in verbs:
            identity = (f"create{self.suffix}{self.scope}{kind.kind}", f"create {_a(kind.kind)}")
            yield self._operation(
                self.root, "post", "post", identity, _WRITE, self.object, self.object, (200, 201, 202)
            )
        if "deletecollection" in verbs:
            name = f"delete{self.suffix}Collection{self.scope}{kind.kind}"
            identity = (name, f"delete collection of {kind.kind}")
            parameters = tuple(sorted({*_COLLECTION, *_DELETE}))
            yield self._operation(
                self.root, "delete", "deletecollection", identity, parameters, META + "DeleteOptions", META + "Status"
            )

    def item(self) -> Iterator[Operation]:
        yield from self._reads_and_writes(f"{self.root}/{{name}}", "", self.object, self.kind.verbs, self.kind.gvk)
        if "delete" in self.kind.verbs:
            identity = (f"delete{self.suffix}{self.scope}{self.kind.kind}", f"delete {_a(self.kind.kind)}")
            answer = self.object if self.kind.strategy.returns_deleted_object else META + "Status"
            yield self._operation(
                f"{self.root}/{{name}}",
                "delete",
                "delete",
                identity,
                _DELETE,
                META + "DeleteOptions",
                answer,
                (200, 202),
            )

    def subresource(self, sub: Subresource) -> Iterator[Operation]:
        gvk = sub.kind if sub.kind.version else GroupVersionKind(self.kind.group, self.kind.version, sub.kind.kind)
        path = f"{self.root}/{{name}}/{sub.name}"
        definition = name_of(*gvk, self.version.kinds)
        if definition is None:  # options of a connection (exec, proxy …), never a body
            yield from self._connections(path, sub, gvk)
            return
        yield from self._reads_and_writes(path, sub.name, definition, sub.verbs, gvk)
        if "create" in sub.verbs:
            name = f"create{self.suffix}{self.scope}{self.kind.kind}{_capital(sub.name)}"
            identity = (name, f"create {sub.name} of {_a(self.kind.kind)}")
            yield self._operation(
                path, "post", "post", identity, _WRITE, definition, definition, (200, 201, 202), gvk=gvk
            )

    def _reads_and_writes(
        self, path: str, sub: str, definition: str, verbs: tuple[str, ...], gvk: GroupVersionKind
    ) -> Iterator[Operation]:
        of, ending = (f"{sub} of " if sub else ""), f"{self.suffix}{self.scope}{self.kind.kind}{_capital(sub)}"
        if "get" in verbs:
            identity = (f"read{ending}", f"read {of}the specified {self.kind.kind}")
            answer = None if sub == "log" else definition
            yield self._operation(path, "get", "get", identity, (), answer=answer, gvk=gvk)
        if "update" in verbs:
            identity = (f"replace{ending}", f"replace {of}the specified {self.kind.kind}")
            yield self._operation(path, "put", "put", identity, _WRITE, definition, definition, (200, 201), gvk=gvk)
        if "patch" in verbs:
            identity = (f"patch{ending}", f"partially update {of}the specified {self.kind.kind}")
            types = (*PATCH_TYPES, APPLY_PATCH) if self.kind.custom else (*PATCH_TYPES, STRATEGIC_MERGE, APPLY_PATCH)
            yield self._operation(
                path, "patch", "patch", identity, (*_WRITE, "force"), META + "Patch", definition, (200, 201), types, gvk
            )

    def _connections(self, path: str, sub: Subresource, gvk: GroupVersionKind) -> Iterator[Operation]:
        methods = {"get": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
        for verb in sub.verbs:
            method = methods[verb]
            name = f"connect{self.suffix}{method.capitalize()}{self.scope}{self.kind.kind}{_capital(sub.name)}"
            text = f"connect {method.upper()} requests to {sub.name} of {self.kind.kind}"
            for tail, ending in (("", ""), ("/{path}", "WithPath")) if sub.name == "proxy" else (("", ""),):
                yield Operation(
                    path + tail, method, "connect", name + ending, text, self._tag(), gvk, (), self.kind.kind,
                    produces=("*/*",),
                )  # fmt: skip

    def _operation(
        self, path: str, method: str, action: str, identity: tuple[str, str], parameters: tuple[str, ...],
        body: str | None = None, answer: str | None = None, codes: tuple[int, ...] = (200,),
        consumes: tuple[str, ...] = ("*/*",), gvk: GroupVersionKind | None = None, more: tuple[str, ...] = (),
    ) -> Operation:  # fmt: skip
        produces = (*JSON_TYPES, *more) if self.kind.custom else (*JSON_TYPES, PROTOBUF, *more)
        return Operation(
            path, method, action, *identity, self._tag(), gvk or self.kind.gvk, parameters, self.kind.kind,
            body, consumes, answer, codes, produces,
        )  # fmt: skip

    def _tag(self) -> str:
        return f"{self.group}_{self.kind.version}"


def _camel(group: str) -> str:
    first, *rest = group.replace("-", ".").split(".")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "AEIO" else f"a {kind}"


def _capital(sub: str) -> str:
    return sub[:1].upper() + sub[1:]
