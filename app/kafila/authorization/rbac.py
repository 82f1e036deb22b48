"""The mode RBAC: decisions from roles and bindings, remembered until one of these changes."""

from __future__ import annotations

from typing import Final, NamedTuple, final

from kafila.core.errors import aggregate

from .attributes import NO_OPINION, Attributes, Decision, Subject
from .index import GROUP, Binding, Index, Reference, subjects_of
from .members import Members
from .rules import Rule, allows_path, allows_resource

MOST_SUBJECTS: Final = 4096  # users in namespaces that are remembered
MOST_DECISIONS: Final = 1024  # of each of them: verbs and paths are anybody's to think up
MOST_KEPT: Final = 1 << 19  # rules, groups, answers and names of objects that are remembered of all of them together
MOST_OF_ONE: Final = MOST_KEPT >> 3  # what is larger pushes out nobody else: it is worked out each time
LONGEST_SUBJECT: Final = 1 << 14  # characters
LONGEST_KEY: Final = 256


class _Granted(NamedTuple):
    """The answer for any name, and for single ones."""

    any_name: Decision | None
    names: dict[str, Decision]


@final
class _Grants:
    """What one user may do in one namespace (with what he may do in the whole cluster)."""

    __slots__ = ("known", "otherwise", "roles", "rules")

    def __init__(self, index: Index, user: Subject, namespace: str) -> None:
        self.rules: list[tuple[Rule, Binding, int]] = []
        self.roles: set[tuple[str, str]] = set()  # that are bound, there or not
        missing: list[str] = []
        for binding, position in index.bound(user, namespace):
            self.roles.add(("" if binding.role.kind == "ClusterRole" else binding.namespace, binding.role.name))
            rules = index.rules_of(binding.role, binding.namespace)
            if rules is None:
                missing.append(not_found(binding.role))
            else:
                self.rules += [(rule, binding, position) for rule in rules]
        self.otherwise = Decision(False, reason=f"RBAC: {aggregate(missing)}") if missing else NO_OPINION
        self.known: dict[tuple[str, ...], _Granted] = {}

    def granted(self, key: tuple[str, ...]) -> _Granted:
        return self._resource(*key) if len(key) == 4 else self._path(*key)

    def _resource(self, verb: str, group: str, resource: str, subresource: str) -> _Granted:
        names: dict[str, Decision] = {}
        for rule, binding, position in self.rules:
            if allows_resource(rule, verb, group, resource, subresource):
                decision = _allowed(binding, position)
                if not rule.resourceNames:
                    return _Granted(decision, {})
                for name in rule.resourceNames:
                    names.setdefault(name, decision)
        return _Granted(None, names)

    def _path(self, verb: str, path: str) -> _Granted:
        for rule, binding, position in self.rules:
            if allows_path(rule, verb, path):
                return _Granted(_allowed(binding, position), {})
        return _Granted(None, {})


def _allowed(binding: Binding, position: int) -> Decision:
    return Decision(True, reason=f"RBAC: allowed by {binding.shown(position)}")


def not_found(role: Reference) -> str:
    """As the informers of kube-apiserver say it."""
    if role.kind not in ("Role", "ClusterRole"):
        return f'unsupported role reference kind: "{role.kind}"'
    return f'{role.kind.lower()}.{GROUP} "{role.name}" not found'


Key = tuple[str, tuple[str, ...], str]  # name and groups of a user, namespace


@final
class Rbac:
    """Decides from the roles and bindings that it is given. A change drops what is remembered of those whom it is about."""

    def __init__(self) -> None:
        self.index = Index()
        self.members = Members()
        self._grants: dict[Key, _Grants] = {}
        self._about: dict[
            tuple[str, ...], set[Key]
        ] = {}  # whom a change of a role, or of a subject's bindings, is about
        self._noted = 0
        self._kept = 0

    def forget(self) -> None:
        """Drops everything: it is given anew."""
        self.index = Index()
        self.members = Members()
        self._forget_grants()

    def put_role(self, namespace: str, name: str, body: bytes | None) -> None:
        """``body``: the object as JSON, None when it is gone."""
        self.index.put_role(namespace, name, body)
        self._changed(("role", namespace, name))

    def put_binding(self, namespace: str, name: str, body: bytes | None) -> None:
        before = self.index.binding(namespace, name)
        self.index.put_binding(namespace, name, body)
        for binding in (before, self.index.binding(namespace, name)):
            for kind, subject, _ in subjects_of(binding) if binding is not None else ():
                self._changed((kind, namespace, subject))

    def put_cluster(self, namespace: str, name: str, body: bytes | None) -> None:
        self.members.put(name, body)

    def decide(self, asked: Attributes) -> Decision:
        grants = self._of(asked.user, asked.namespace)
        key: tuple[str, ...]
        if asked.path is None:
            key = asked.verb, asked.group, asked.resource, asked.subresource
        else:
            key = asked.verb, asked.path
        granted = grants.known.get(key) or self._answered(grants, key)
        return granted.any_name or granted.names.get(asked.name) or grants.otherwise

    def rules_for(self, user: Subject, namespace: str) -> tuple[list[Rule], str]:
        """All rules that apply to somebody, and what could not be found out."""
        grants = self._of(user, namespace)
        return [rule for rule, _, _ in grants.rules], grants.otherwise.reason.removeprefix("RBAC: ")

    def _answered(self, grants: _Grants, key: tuple[str, ...]) -> _Granted:
        granted = grants.granted(key)
        if sum(map(len, key)) <= LONGEST_KEY and len(granted.names) <= MOST_OF_ONE:
            if len(grants.known) >= MOST_DECISIONS:
                grants.known.clear()
            self._make_room(1 + len(granted.names))
            grants.known[key] = granted
        return granted

    def _of(self, user: Subject, namespace: str) -> _Grants:
        key = (user.name, user.groups, namespace)
        grants = self._grants.get(key)
        if grants is None:
            grants = _Grants(self.index, user, namespace)
            if sum(map(len, user.groups), len(user.groups) + len(user.name) + len(namespace)) <= LONGEST_SUBJECT:
                self._remember(key, grants)
        return grants

    def _remember(self, key: Key, grants: _Grants) -> None:
        about = _about(key, grants)
        size = len(about) + len(grants.rules)
        if size > MOST_OF_ONE:
            return
        if self._noted >= MOST_SUBJECTS:
            self._forget_grants()
        self._make_room(size)
        self._noted += 1
        self._grants[key] = grants
        for what in about:
            self._about.setdefault(what, set()).add(key)

    def _make_room(self, size: int) -> None:
        if self._kept + size > MOST_KEPT:
            self._forget_grants()
        self._kept += size

    def _changed(self, what: tuple[str, ...]) -> None:
        for key in self._about.pop(what, ()):
            self._grants.pop(key, None)

    def _forget_grants(self) -> None:
        self._grants.clear()
        self._about.clear()
        self._noted = self._kept = 0


def _about(key: Key, grants: _Grants) -> set[tuple[str, ...]]:
    """Whose changes would change them."""
    user, groups, namespace = key
    about: set[tuple[str, ...]] = {("role", *role) for role in grants.roles}
    for scope in {"", namespace}:
        about.add(("user", scope, user))
        about.update(("group", scope, group) for group in groups)
    return about
