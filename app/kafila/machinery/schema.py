"""The shape of an API type, as far as the machinery needs it: decoding, patches, field ownership, OpenAPI.

A :class:`Schema` is a node of a graph (definitions may refer to themselves). It carries what the OpenAPI extensions
``x-kubernetes-*`` say (list-type, list-map-keys, map-type, patch-strategy, patch-merge-key) and what Go's JSON encoding
does (which struct fields are always emitted).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Final, Literal

# Types are compiled by one thread at a time: one that refers to itself can be reached before it is ready.
COMPILING: Final = RLock()

Kind = Literal[
    "struct",  # JSON object with known fields
    "map",  # JSON object with free keys and values of one type (``items``)
    "list",
    "string",
    "integer",
    "number",
    "boolean",
    "any",  # arbitrary JSON (RawExtension, CRD's preserve-unknown-fields)
    "int-or-string",
    "quantity",  # resource.Quantity: a string, or a number on input; canonical form on output
    "time",  # metav1.Time
    "micro-time",  # metav1.MicroTime
    "bytes",  # base64
]


@dataclass(slots=True, eq=False)
class Schema:
    kind: Kind
    name: str = ""  # definition name, e.g. "io.k8s.api.core.v1.PodSpec"; "" for anonymous nodes
    description: str = ""
    format: str = ""  # "int32", "int64", "double", "byte", "date-time" …
    fields: dict[str, Schema] = field(default_factory=dict)  # of a struct, in wire order
    required: frozenset[str] = frozenset()
    always: dict[str, Any] = field(
        default_factory=dict
    )  # fields that Go emits even when unset -> their zero ({}, "", 0, None)
    drop_zero: frozenset[str] = frozenset()  # fields that Go leaves out when zero (omitempty on a non-pointer)
    items: Schema | None = None  # element of a list, value of a map
    list_type: Literal["atomic", "set", "map"] = "atomic"
    list_map_keys: tuple[str, ...] = ()
    atomic: bool = False  # x-kubernetes-map-type: atomic (structs and maps)
    patch_strategy: tuple[str, ...] = ()  # "merge", "replace", "retainKeys" of the field that points here
    patch_merge_key: str = ""
    default: Any = None  # OpenAPI default of the field that points here, None when there is none
    enum: tuple[str, ...] = ()
    preserve_unknown: bool = False  # struct that keeps fields it does not know
    embedded: bool = False  # a whole object with its own apiVersion, kind and metadata
    # of a struct: fields whose errors Go shows with more than their names -> the embedded structs that they come from, and
    # Go's names for the field's type and those of its elements
    go: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    compiled: dict[str, Any] = field(default_factory=dict)  # what the machinery has derived from this node

    def __post_init__(self) -> None:
        self.compiled = {}  # dataclasses.replace would hand on what was derived from the original

    def __repr__(self) -> str:
        return f"<Schema {self.kind} {self.name}>"
