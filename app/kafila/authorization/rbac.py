"""The mode RBAC: decisions from roles and bindings, remembered until one of these changes."""

from __future__ import annotations

from typing import Final, NamedTuple, final

from .attributes import NO_OPINION, Attributes, Decision, Subject
from .index import GROUP, Binding, Index, Reference
from .rules import Rule, allows_path, allows_resource

MOST_SUBJECTS: Final = 4096  # users in namespaces that are remembered
MOST_QUESTIONS: Final = 1024  # of each of them: verbs and paths are anybody's to think up


class _Granted(NamedTuple):
    """The answer for any name, and for single ones."""

    any_name: Decision | None
    names: dict[str, Decision]


@final
class _Grants:
    """What one user may do in one namespace (with what he may do in the whole cluster)."""

    __slots__ = ("known", "otherwise", "rules")

    def __init__(self, index: Index, user: Subject, namespace: str) -> None:
        self.rules: list[tuple[Rule, Binding, int]] = []
        missing: list[str] = []
        for binding, position in index.bound(user, namespace):
            rules = index.rules_of(binding.role, binding.namespace)
            if rules is None:
                missing.append(not_found(binding.role))
            else:
                self.rules += [(rule, binding, position) for rule in rules]
        self.otherwise = Decision(False, reason=f"RBAC: {aggregate(missing)}") if missing else NO_OPINION
        self.known: dict[tuple[str, ...], _Granted] = {}

    def granted(self, question: tuple[str, ...]) -> _Granted:
        known = self.known.get(question)
        if known is None:
            if len(self.known) >= MOST_QUESTIONS:
                self.known.clear()
            known = self.known[question] = self._resource(*question) if len(question) == 4 else self._path(*question)
        return known

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


def aggregate(texts: list[str]) -> str:
    """Several errors as one, each once."""
    once = list(dict.fromkeys(texts))
    return once[0] if len(once) == 1 else f"[{', '.join(once)}]"


@final
class Rbac:
    """Decides from ``index``; whoever changes that says so with :meth:`changed`."""

    def __init__(self, index: Index | None = None) -> None:
        self.index = index if index is not None else Index()
        self._grants: dict[tuple[str, tuple[str, ...], str], _Grants] = {}

    def changed(self) -> None:
        self._grants.clear()

    def decide(self, asked: Attributes) -> Decision:
        grants = self._of(asked.user, asked.namespace)
        if asked.path is None:
            granted = grants.granted((asked.verb, asked.group, asked.resource, asked.subresource))
        else:
            granted = grants.granted((asked.verb, asked.path))
        return granted.any_name or granted.names.get(asked.name) or grants.otherwise

    def rules_for(self, user: Subject, namespace: str) -> tuple[list[Rule], str]:
        """All rules that apply to somebody, and what could not be found out."""
        grants = self._of(user, namespace)
        return [rule for rule, _, _ in grants.rules], grants.otherwise.reason.removeprefix("RBAC: ")

    def _of(self, user: Subject, namespace: str) -> _Grants:
        key = (user.name, user.groups, namespace)
        grants = self._grants.get(key)
        if grants is None:
            if len(self._grants) >= MOST_SUBJECTS:
                self._grants.clear()
            grants = self._grants[key] = _Grants(self.index, user, namespace)
        return grants
