"""Which requests a FlowSchema matches (k8s.io/apiserver/pkg/util/flowcontrol).

A FlowSchema may have as many rules as an object may have bytes, and is asked about whatever anybody thinks up. So its rules are
indexed by each thing that they name, an answer is an intersection of sets, and nothing is kept for a user but what came out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, final

from .objects import NonResourceRule, PolicyRule, ResourceRule, Subject

ALL: Final = "*"
SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_NONE: Final[frozenset[int]] = frozenset()


class Asked(NamedTuple):
    """What a request is about. ``path`` None: a resource; one for anything else has the verb and no more than that."""

    verb: str
    group: str = ""
    resource: str = ""  # with its subresource
    namespace: str = ""
    path: str | None = None


class _Values:
    """Numbers by a value that they name, and those that name all."""

    __slots__ = ("every", "named")

    def __init__(self) -> None:
        self.named: dict[str, set[int]] = defaultdict(set)
        self.every: set[int] = set()

    def put(self, values: Sequence[str], number: int) -> None:
        if tuple(values) == (ALL,):  # among others it is a name like any
            self.every.add(number)
        else:
            for value in values:
                self.named[value].add(number)

    def of(self, value: str) -> tuple[Collection[int], set[int]]:
        return self.named.get(value, _NONE), self.every


def _common(dimensions: list[tuple[Collection[int], set[int]]]) -> set[int]:
    """Numbers that are in one of each pair. Costs no more than the smallest pair has, some times over."""
    dimensions.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
    left: set[int] | None = None
    for named, every in dimensions:
        if left is None:
            left = every.union(named)
        else:
            left = (left & every).union(left.intersection(named))
        if not left:
            break
    return left or set()


@final
class Rules:
    """All rules of one FlowSchema. Each verb with resources or paths in a rule (an *item*) has a number, and knows its rule's."""

    def __init__(self, rules: Iterable[PolicyRule]) -> None:
        self._users = _Values()
        self._groups = _Values()
        self._namespaces_of_accounts: dict[str, set[int]] = defaultdict(set)
        self._rule: list[int] = []  # of each item
        self._resources = tuple(_Values() for _ in range(4))  # verb, group, resource, namespace ("" for what has none)
        self._verbs = _Values()
        self._paths: dict[str, set[int]] = defaultdict(set)
        self._below: dict[str, set[int]] = defaultdict(set)
        self._all_paths: set[int] = set()
        self._everything: set[int] = set()  # rules that are about all requests for resources
        self._some: set[int] = set()  # rules that are about any
        for number, rule in enumerate(rules):
            for subject in rule.subjects:
                self._put_subject(subject, number)
            for resource in rule.resourceRules or ():
                self._put_resources(resource, number)
            for other in rule.nonResourceRules or ():
                self._put_paths(other, number)
        self._lengths = sorted({len(prefix) for prefix in self._below})

    def _put_subject(self, subject: Subject, number: int) -> None:
        match subject.kind:
            case "User" if subject.user is not None:
                self._users.put((subject.user.name,), number)
            case "Group" if subject.group is not None:
                self._groups.put((subject.group.name,), number)
            case "ServiceAccount" if subject.serviceAccount is not None:
                account = subject.serviceAccount
                if account.name == ALL:
                    self._namespaces_of_accounts[account.namespace].add(number)
                else:
                    self._users.named[f"{SERVICE_ACCOUNT}{account.namespace}:{account.name}"].add(number)

    def _put_resources(self, rule: ResourceRule, number: int) -> None:
        item = len(self._rule)
        self._rule.append(number)
        self._some.add(number)
        named = tuple(rule.namespaces or ())
        for values, found in zip((rule.verbs, rule.apiGroups, rule.resources), self._resources, strict=False):
            found.put(values, item)
        namespaces = self._resources[3]
        if named == (ALL,):
            namespaces.named[ALL].add(item)
        else:
            namespaces.put([f"/{name}" for name in named], item)
        if rule.clusterScope:
            namespaces.named[""].add(item)
        if rule.verbs == rule.apiGroups == rule.resources == named == (ALL,) and rule.clusterScope:
            self._everything.add(number)

    def _put_paths(self, rule: NonResourceRule, number: int) -> None:
        item = len(self._rule)
        self._rule.append(number)
        self._verbs.put(rule.verbs, item)
        for url in rule.nonResourceURLs:
            if url == ALL:
                self._all_paths.add(item)
                continue
            self._paths[url].add(item)
            prefix = url.removesuffix(ALL)
            self._below[prefix if prefix.endswith("/") else f"{prefix}/"].add(item)

    def about(self, name: str, groups: Iterable[str]) -> set[int]:
        """Rules of whose subjects a user is one."""
        found = self._users.every.union(self._groups.every, self._users.named.get(name, _NONE))
        for group in groups:
            found.update(self._groups.named.get(group, _NONE))
        if self._namespaces_of_accounts and name.startswith(SERVICE_ACCOUNT):
            namespace, colon, _ = name[len(SERVICE_ACCOUNT) :].partition(":")
            if colon:
                found.update(self._namespaces_of_accounts.get(namespace, _NONE))
        return found

    def match_everything(self, rules: set[int]) -> bool:
        """Whether one of ``rules`` is about all requests for resources."""
        return not rules.isdisjoint(self._everything)

    def match_some(self, rules: set[int]) -> bool:
        """Whether one of ``rules`` is about some request for a resource."""
        return not rules.isdisjoint(self._some)

    def match(self, rules: set[int], asked: Asked) -> bool:
        """Whether one of ``rules`` is about the request."""
        items = self._items_of_resource(asked) if asked.path is None else self._items_of_path(asked.verb, asked.path)
        return not rules.isdisjoint(map(self._rule.__getitem__, items))

    def _items_of_resource(self, asked: Asked) -> set[int]:
        verbs, groups, resources, namespaces = self._resources
        if asked.namespace:
            where = namespaces.named.get(f"/{asked.namespace}", _NONE), namespaces.named.get(ALL, set())
        else:
            where = namespaces.named.get("", _NONE), set()
        return _common([verbs.of(asked.verb), groups.of(asked.group), resources.of(asked.resource), where])

    def _items_of_path(self, verb: str, path: str) -> set[int]:
        found = self._all_paths.union(self._paths.get(path, _NONE), *self._items_above(path))
        return _common([self._verbs.of(verb), (_NONE, found)])

    def _items_above(self, path: str) -> Iterator[set[int]]:
        """``/healthz`` is also what lies below it."""
        for length in self._lengths:
            if length > len(path):
                return
            below = self._below.get(path[:length])
            if below is not None:
                yield below
