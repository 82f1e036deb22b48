"""The environments of admission: match conditions, policies and what they may patch.

    environment = admission.environment(params=True, authorizer=True, variables={"replicas": INT})
    program = environment.compile("variables.replicas > 1 && request.operation == 'CREATE'")
    program.evaluate({"object": …, "oldObject": None, "request": …, "variables": Variables({"replicas": lambda: 3})})

``object``, ``oldObject`` and ``params`` are JSON as it is; ``request`` and ``namespaceObject`` are dicts with the fields below, of which
those that are not set are absent; ``authorizer`` is an ``Authorizer`` and ``authorizer.requestResource`` a ``ResourceCheck``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, Final, final

from .declarations import Library, overload
from .environment import Environment
from .libraries.authorizer import AUTHORIZER_TYPE, RESOURCE_TYPE
from .objects import Objects
from .types import BOOL, DYN, INT, LIST_STRING, STRING, TIMESTAMP, Type, list_of, map_of, struct
from .values import MISSING, EvaluationError, MapLike

VARIABLES_TYPE: Final = struct("kubernetes.variables")
REQUEST_TYPE: Final = struct("kubernetes.AdmissionRequest")
NAMESPACE_TYPE: Final = struct("kubernetes.Namespace")
JSON_PATCH_TYPE: Final = struct("JSONPatch")
OBJECT_TYPE: Final = struct("Object")

_STRINGS: Final = map_of(STRING, STRING)


def _all(names: str, kind: Type = STRING) -> dict[str, Type]:
    return dict.fromkeys(names.split(), kind)


FIELDS: Final[dict[str, dict[str, Type]]] = {
    "kubernetes.GroupVersionKind": _all("group version kind"),
    "kubernetes.GroupVersionResource": _all("group version resource"),
    "kubernetes.UserInfo": {
        **_all("username uid"),
        "groups": LIST_STRING,
        "extra": map_of(STRING, LIST_STRING),
    },
    "kubernetes.AdmissionRequest": {
        **_all("subResource requestSubResource name namespace operation"),
        **_all("kind requestKind", struct("kubernetes.GroupVersionKind")),
        **_all("resource requestResource", struct("kubernetes.GroupVersionResource")),
        "userInfo": struct("kubernetes.UserInfo"),
        "dryRun": BOOL,
        "options": DYN,
    },
    "kubernetes.NamespaceSpec": {"finalizers": LIST_STRING},
    "kubernetes.NamespaceCondition": {
        **_all("status type message reason"),
        "lastTransitionTime": TIMESTAMP,
    },
    "kubernetes.NamespaceStatus": {
        "conditions": list_of(struct("kubernetes.NamespaceCondition")),
        "phase": STRING,
    },
    "kubernetes.NamespaceMetadata": {
        **_all("name generateName namespace UID resourceVersion"),
        **_all("labels annotations", _STRINGS),
        **_all("creationTimestamp deletionTimestamp", TIMESTAMP),
        **_all("deletionGracePeriodSeconds generation", INT),
        "finalizers": LIST_STRING,
    },
    "kubernetes.Namespace": {
        "metadata": struct("kubernetes.NamespaceMetadata"),
        "spec": struct("kubernetes.NamespaceSpec"),
        "status": struct("kubernetes.NamespaceStatus"),
    },
}
_NO_TYPE: Final = Type("unspecified", "")  # of a field that a patch does not have: only what is dyn may stand there
_PATCH_FIELDS: Final = {**_all("op path from"), "value": DYN}


@final
class Made(MapLike):
    """An object that an expression writes: ``Object.spec{replicas: 1}``, ``JSONPatch{op: "add", …}``."""

    __slots__ = ("fields", "type_name")

    def __init__(self, type_name: str, fields: dict[str, Any]) -> None:
        self.type_name = type_name
        self.fields = fields

    @property
    def cel_type(self) -> Type:
        return struct(self.type_name)

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fields)

    def find(self, key: Any) -> Any:
        return self.fields.get(key, MISSING)


def _json_patch(fields: dict[str, Any]) -> Made:
    for name, value in fields.items():
        if name not in _PATCH_FIELDS:
            raise EvaluationError(f"unexpected JSONPatchType field: {name}")
        if name != "value" and not isinstance(value, str):
            raise EvaluationError(f"unexpected type {type(value).__name__} for JSONPatchType '{name}' field")
    return Made(JSON_PATCH_TYPE.name, fields)


@final
class _Patches(Objects):
    """``Object`` and every ``Object.path.to.field``, whose fields may be anything; ``JSONPatch``."""

    def __contains__(self, type_name: object) -> bool:
        return _is_patch(str(type_name)) or super().__contains__(type_name)

    def field(self, type_name: str, name: str) -> Type | None:
        if type_name == JSON_PATCH_TYPE.name:
            return _PATCH_FIELDS.get(name, _NO_TYPE)
        return DYN if _is_patch(type_name) else super().field(type_name, name)

    def making(self, type_name: str) -> Callable[[dict[str, Any]], Made]:
        return _json_patch if type_name == JSON_PATCH_TYPE.name else partial(Made, type_name)


def _is_patch(type_name: str) -> bool:
    return type_name in ("JSONPatch", "Object") or type_name.startswith("Object.")


def _escape_key(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


JSON_PATCHES: Final = Library(
    "jsonpatch",
    {"jsonpatch.escapeKey": (overload("string_jsonpatch_escapeKey_string", (STRING,), STRING, _escape_key),)},
)


@final
class Variables(MapLike):
    """The value of ``variables``: each is evaluated when it is first asked for; ``evaluate`` raises EvaluationError."""

    __slots__ = ("_evaluate", "_known")

    def __init__(self, evaluate: Mapping[str, Callable[[], Any]]) -> None:
        self._evaluate = evaluate
        self._known: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._evaluate)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._evaluate)

    def find(self, key: Any) -> Any:
        if key not in self._known:
            if key not in self._evaluate:
                return MISSING
            try:
                self._known[key] = self._evaluate[key]()
            except EvaluationError as problem:
                self._known[key] = problem
        found = self._known[key]
        if isinstance(found, EvaluationError):
            raise found
        return found


def environment(
    *, params: bool, authorizer: bool, patches: bool = False, variables: Mapping[str, Type] | None = None
) -> Environment:
    """``variables``: the types of those that are declared; None where expressions know no ``variables``. It is looked at and not copied:
    each variable of a policy knows those before it."""
    if variables is None:
        return _plain(params, authorizer, patches)
    kinds = {**_variables(params, authorizer), "variables": VARIABLES_TYPE}
    return _environment(kinds, patches, {**FIELDS, VARIABLES_TYPE.name: variables})


@lru_cache(maxsize=8)
def _plain(params: bool, authorizer: bool, patches: bool) -> Environment:
    return _environment(_variables(params, authorizer), patches, FIELDS)


def _variables(params: bool, authorizer: bool) -> dict[str, Type]:
    out = {"object": DYN, "oldObject": DYN, "namespaceObject": NAMESPACE_TYPE, "request": REQUEST_TYPE}
    if params:
        out["params"] = DYN
    if authorizer:
        out |= {"authorizer": AUTHORIZER_TYPE, "authorizer.requestResource": RESOURCE_TYPE}
    return out


def _environment(kinds: dict[str, Type], patches: bool, fields: Mapping[str, Mapping[str, Type]]) -> Environment:
    if patches:
        return Environment(kinds, objects=_Patches(fields), libraries=(JSON_PATCHES,))
    return Environment(kinds, objects=Objects(fields))
