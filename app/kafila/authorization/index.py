"""Roles and bindings, found by who is bound. Kept from single changes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, final

import msgspec

from kafila.core.quoting import quoted

from .attributes import Subject
from .rules import Rule

GROUP: Final = "rbac.authorization.k8s.io"
ROLES: Final = f"roles.{GROUP}"
CLUSTER_ROLES: Final = f"clusterroles.{GROUP}"
BINDINGS: Final = f"rolebindings.{GROUP}"
CLUSTER_BINDINGS: Final = f"clusterrolebindings.{GROUP}"
SERVICE_ACCOUNT: Final = "system:serviceaccount"


class Reference(msgspec.Struct, frozen=True, gc=False):
    kind: str = ""
    name: str = ""
    apiGroup: str = ""


class BoundSubject(msgspec.Struct, frozen=True, gc=False):
    kind: str = ""
    name: str = ""
    namespace: str = ""

    def shown(self, namespace: str) -> str:
        if self.kind == "ServiceAccount":  # name and namespace in this order, as in Kubernetes
            return f"{self.kind} {quoted(f'{self.name}/{self.namespace or namespace}')}"
        return f"{self.kind} {quoted(self.name)}"


class _Role(msgspec.Struct, gc=False):
    rules: tuple[Rule, ...] | None = None


class _Binding(msgspec.Struct, gc=False):
    roleRef: Reference = Reference()
    subjects: tuple[BoundSubject, ...] | None = None


_decode_role = msgspec.json.Decoder(_Role).decode
_decode_binding = msgspec.json.Decoder(_Binding).decode


def _read_role(body: bytes) -> _Role:
    """What cannot be read allows nothing."""
    try:
        return _decode_role(body)
    except msgspec.DecodeError:
        return _Role()


def _read_binding(body: bytes) -> _Binding:
    try:
        return _decode_binding(body)
    except msgspec.DecodeError:
        return _Binding()


@final
class Binding(NamedTuple):
    """``namespace`` "" for a ClusterRoleBinding."""

    namespace: str
    name: str
    role: Reference
    subjects: tuple[BoundSubject, ...]

    def shown(self, position: int) -> str:
        """Why somebody may do something: the binding, its role and the subject that he is."""
        kind, name = (
            ("RoleBinding", f"{self.name}/{self.namespace}") if self.namespace else ("ClusterRoleBinding", self.name)
        )
        subject = self.subjects[position].shown(self.namespace)
        return f"{kind} {quoted(name)} of {self.role.kind} {quoted(self.role.name)} to {subject}"


@final
class Bound(NamedTuple):
    """A binding that applies to somebody, and the position of the first of its subjects that he is."""

    binding: Binding
    position: int


class _Scope:
    """The bindings of one namespace, or of the cluster: by name, and by user and group (with the subject's position)."""

    __slots__ = ("bindings", "named")

    def __init__(self) -> None:
        self.bindings: dict[str, Binding] = {}
        self.named: dict[str, dict[str, dict[str, int]]] = {"user": {}, "group": {}}


@final
class Index:
    """``namespace`` is "" for what belongs to the whole cluster."""

    def __init__(self) -> None:
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._scopes: dict[str, _Scope] = {}

    def put_role(self, namespace: str, name: str, body: bytes | None) -> None:
        """``body``: the object as JSON, None when it is gone."""
        if body is None:
            self._roles.pop((namespace, name), None)
        else:
            self._roles[namespace, name] = _read_role(body).rules or ()

    def put_binding(self, namespace: str, name: str, body: bytes | None) -> None:
        scope = self._scopes.get(namespace)
        if scope is None:
            scope = self._scopes[namespace] = _Scope()
        before = scope.bindings.pop(name, None)
        if before is not None:
            for kind, key, _ in subjects_of(before):
                named = scope.named[kind]
                of_key = named.get(key)
                if of_key is not None and of_key.pop(name, None) is not None and not of_key:
                    del named[key]
        if body is not None:
            found = _read_binding(body)
            binding = Binding(namespace, name, found.roleRef, found.subjects or ())
            scope.bindings[name] = binding
            for kind, key, position in subjects_of(binding):
                scope.named[kind].setdefault(key, {}).setdefault(name, position)
        elif not scope.bindings:
            del self._scopes[namespace]

    def binding(self, namespace: str, name: str) -> Binding | None:
        scope = self._scopes.get(namespace)
        return scope.bindings.get(name) if scope is not None else None

    def rules_of(self, role: Reference, namespace: str) -> tuple[Rule, ...] | None:
        """None for a role that is not there; ``namespace`` is the binding's."""
        if role.kind == "ClusterRole":
            return self._roles.get(("", role.name))
        return self._roles.get((namespace, role.name)) if namespace and role.kind == "Role" else None

    def bound(self, user: Subject, namespace: str) -> Iterator[Bound]:
        """The bindings that apply to somebody: the cluster's, then the namespace's, in the order of their names."""
        for scope in ("", namespace) if namespace else ("",):
            found = self._scopes.get(scope)
            if found is None:
                continue
            positions = dict(found.named["user"].get(user.name, ()))
            for group in user.groups:
                for name, position in found.named["group"].get(group, {}).items():
                    positions[name] = min(position, positions.get(name, position))
            for name in sorted(positions):
                yield Bound(found.bindings[name], positions[name])


def subjects_of(binding: Binding) -> Iterable[tuple[str, str, int]]:
    """``user`` or ``group``, its name, and the subject's position. A service account is a user."""
    for position, subject in enumerate(binding.subjects):
        match subject.kind:
            case "User":
                yield "user", subject.name, position
            case "Group":
                yield "group", subject.name, position
            case "ServiceAccount":
                where = subject.namespace or binding.namespace
                if where:
                    yield "user", f"{SERVICE_ACCOUNT}:{where}:{subject.name}", position
