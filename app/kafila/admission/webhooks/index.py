"""Which webhooks a request is shown to: by resource and operation, worked out once (:class:`Remembered`), so that most writes cost one look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar, final

from kafila.catalog.catalog import Catalog, subresources_of
from kafila.catalog.kind import Kind
from kafila.core import selectors
from kafila.core.errors import StatusError, internal_error, not_found
from kafila.core.resources import GroupVersionKind
from kafila.core.values import Object

from .attributes import NAMESPACES, Attributes
from .hooks import Hook, Rule

T = TypeVar("T")
MOST_REMEMBERED: Final = 4096  # combinations of resource, subresource and operation
_GROUP: Final = "admissionregistration.k8s.io"
# nobody could put right what its own webhook forbids
_EXEMPT: Final = frozenset(
    f"{kind}{suffix}"
    for kind, suffixes in (
        ("ValidatingWebhook", ("Configuration",)),
        ("MutatingWebhook", ("Configuration",)),
        ("ValidatingAdmissionPolicy", ("", "Binding")),
        ("MutatingAdmissionPolicy", ("", "Binding")),
    )
    for suffix in suffixes
)

# the labels of a namespace, None when there is no such namespace
NamespaceLabels = Callable[[str], Object | None]


class Call(NamedTuple):
    """A webhook that is asked, and as which kind it is shown the object: one that its rules name.

    ``position``: its own among all webhooks.
    """

    hook: Hook
    kind: Kind
    shown: GroupVersionKind
    position: int


@final
class Remembered(Generic[T]):
    """What ``find`` says of a kind, a subresource and an operation, as long as the catalog is as it was."""

    def __init__(self, catalog: Catalog, find: Callable[[Kind, str, str], T]) -> None:
        self._catalog = catalog
        self._find = find
        self._revision = -1
        self._known: dict[tuple[str, str, str, str, str], T] = {}

    def clear(self) -> None:
        self._known.clear()

    def __call__(self, kind: Kind, subresource: str, operation: str) -> T:
        if self._catalog.revision != self._revision:
            self._known.clear()
            self._revision = self._catalog.revision
        key = (kind.group, kind.version, kind.plural, subresource, operation)
        try:
            return self._known[key]
        except KeyError:
            pass
        found = self._find(kind, subresource, operation)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = found
        return found


@final
class Index:
    """``hooks``: in the order in which they are asked."""

    def __init__(self, hooks: Iterable[Hook], catalog: Catalog) -> None:
        self._hooks = tuple(hooks)
        self._catalog = catalog

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def calls(self, kind: Kind, subresource: str, operation: str) -> Sequence[Call]:
        """Those whose rules match, whatever the object is. What they select is not looked at."""
        return tuple(self._found(kind, subresource, operation)) if self._hooks else ()

    def _found(self, kind: Kind, subresource: str, operation: str) -> Iterator[Call]:
        if kind.group == _GROUP and kind.kind in _EXEMPT:
            return
        equivalents = equivalents_of(self._catalog, kind, subresource)
        for position, hook in enumerate(self._hooks):
            target = _target(hook, kind, equivalents, subresource, operation)
            if target is not None:
                yield Call(hook, target, shown_kind(target, subresource), position)


def _target(hook: Hook, kind: Kind, equivalents: Sequence[Kind], subresource: str, operation: str) -> Kind | None:
    if any(_matches(rule, kind, subresource, operation) for rule in hook.rules):
        return kind
    if not hook.equivalent:
        return None
    for rule in hook.rules:  # earlier rules first
        for other in equivalents:
            if other is not kind and _matches(rule, other, subresource, operation):
                return other
    return None


def _matches(rule: Rule, kind: Kind, subresource: str, operation: str) -> bool:
    return rule.matches(kind.group, kind.version, kind.plural, subresource, operation, cluster=not kind.namespaced)


def equivalents_of(catalog: Catalog, kind: Kind, subresource: str) -> list[Kind]:
    """The versions in which the same objects are served, ``kind`` among them."""
    return [other for other in catalog if other.resource == kind.resource and _has(other, subresource)]


def _has(kind: Kind, subresource: str) -> bool:
    return not subresource or subresource in kind.subresources


def shown_kind(kind: Kind, subresource: str) -> GroupVersionKind:
    """Of what kind an object of a subresource is: a Scale, an Eviction, or the whole."""
    for found in subresources_of(kind) if subresource else ():
        if found.name == subresource:
            group, version, name = found.kind
            return found.kind if version else GroupVersionKind(group or kind.group, kind.version, name)
    return kind.gvk


class Selecting(Protocol):
    """What selects namespaces and objects by their labels."""

    @property
    def namespaces(self) -> selectors.Selector: ...
    @property
    def objects(self) -> selectors.Selector: ...


def selects(hook: Selecting, asked: Attributes, namespace_labels: NamespaceLabels) -> bool:
    """Whether a webhook whose rules match selects the namespace and the object. Raises StatusError 404."""
    return _selects_object(hook, asked) and _selects_namespace(hook, asked, namespace_labels)


def _selects_object(hook: Selecting, asked: Attributes) -> bool:
    if hook.objects.empty:
        return True
    return any(labels is not None and hook.objects.matches(labels) for labels in asked.labels)


def _selects_namespace(hook: Selecting, asked: Attributes, namespace_labels: NamespaceLabels) -> bool:
    is_namespace = asked.kind.resource == NAMESPACES
    if hook.namespaces.empty or (not asked.namespace and not is_namespace):
        return True
    if is_namespace and not asked.subresource and asked.operation in ("CREATE", "UPDATE"):
        return hook.namespaces.matches(asked.labels[0])
    labels = namespace_labels(asked.namespace)
    if labels is None:
        raise not_found("", NAMESPACES, asked.namespace)
    return hook.namespaces.matches(labels)


def failed(hook: Hook, reason: str) -> StatusError:
    """The answer to a write when a webhook gave none that can be used, and its failurePolicy is Fail."""
    error = internal_error(f'failed calling webhook "{hook.name}": {reason}')
    error.by_webhook = True
    return error
