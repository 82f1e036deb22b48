"""Which policies, bindings and parameters a write is about, and the variables that their expressions see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, final

from kafila.admission.policies.matching import Targets, matched, target_of_all, targets_of
from kafila.admission.policies.policy import Binding, Policy, policy_of
from kafila.admission.webhooks.attributes import Attributes
from kafila.admission.webhooks.index import Remembered, equivalents_of
from kafila.admission.webhooks.reviews import request_of_kind
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.cel import admission as expressions
from kafila.cel.gotext import parse_timestamp
from kafila.cel.libraries.authorizer import Ask, Authorizer, ResourceCheck
from kafila.cel.values import Timestamp
from kafila.core.values import Object
from kafila.watch import Cache, Entry

from .codec import decode_entry
from .selected_params import MOST_PARAMS, SelectedParams, TooManyParams
from .threads import BIG

QUICK: Final = 5_000  # of cost: some milliseconds
IN_PLACE: Final = 16  # invocations of one write that are not given to a thread, whatever they cost
_REQUEST: Final = frozenset(expressions.FIELDS["kubernetes.AdmissionRequest"])
_EXEMPT: Final = ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")


class Invocation(NamedTuple):
    """A policy that is about a write, with a binding and a parameter. ``target``: as which kind the object is shown."""

    policy: Policy
    binding: Binding
    target: Kind
    param_kind: Kind | None
    param: Entry | None


class Match(NamedTuple):
    """A policy whose rules are about a request, whatever the object is, with its bindings whose rules are, too.

    ``always``: its invocations, where they are the same for each such request.
    """

    policy: Policy
    targets: Targets
    bindings: tuple[tuple[Binding, Targets], ...]
    always: tuple[Invocation, ...] | None


class Problem(NamedTuple):
    """Why a policy, or a binding of it, has no say; of a policy with failurePolicy Ignore nobody hears of it."""

    policy: Policy
    binding: Binding | None
    text: str
    invalid: bool = False


@final
class Sizes:
    """How big the work on each invocation of one write counts (``in_thread``): one parameter may be larger than the object, and very
    many that are small are much together.
    """

    def __init__(self, size: int) -> None:
        """``size``: bytes of the object, about."""
        self._size = size
        self._left = IN_PLACE

    def of(self, about: Invocation) -> int:
        self._left -= 1
        size = self._size if about.param is None else max(self._size, len(about.param.body))
        return size if self._left >= 0 else max(size, BIG)


class _Misconfigured(Exception):
    """The text says what of a binding cannot be used."""


@final
class BoundPolicies:
    """Those that something binds. ``ask``: what the variable ``authorizer`` is answered with."""

    def __init__(
        self, cache: Cache, catalog: Catalog, ask: Ask, policies: str, bindings: str, *, on: bool = True
    ) -> None:
        self._cache = cache
        self._catalog = catalog
        self._ask = ask
        self._on = on
        self._resources = policies, bindings
        self._selected = SelectedParams(cache)
        self._policies: list[Policy] | None = None
        self._any: bool | None = None
        # those whose rules match, whatever the object is
        self.matching: Remembered[Sequence[Match]] = Remembered(catalog, self._all_matching)
        for resource in self._resources:
            cache.listen(resource, lambda event: self._forget())
        cache.on_reset(self._forget)

    def _forget(self) -> None:
        self._policies = self._any = None
        self.matching.clear()

    def __bool__(self) -> bool:
        if self._any is None:
            self._any = self._on and all(self._cache.resource(resource).objects for resource in self._resources)
        return self._any

    def _all_matching(self, kind: Kind, subresource: str, operation: str) -> Sequence[Match]:
        return tuple(self._found(kind, subresource, operation))

    def _found(self, kind: Kind, subresource: str, operation: str) -> Iterator[Match]:
        if kind.kind.removesuffix("Binding") in _EXEMPT:
            return
        others = equivalents_of(self._catalog, kind, subresource)
        for policy in self._all():
            targets = targets_of(policy.match, kind, others, subresource, operation)
            if targets.found:
                each = ((b, targets_of(b.match, kind, others, subresource, operation)) for b in policy.bindings)
                bindings = tuple((b, t) for b, t in each if t.found)
                yield Match(policy, targets, bindings, _always(policy, targets, bindings))

    def _all(self) -> list[Policy]:
        """By name."""
        if self._policies is None:
            policies, bindings = self._resources
            bound: dict[str, list[Object]] = {}
            for entry in self._cache.resource(bindings).entries():
                obj = entry.decode()
                bound.setdefault((obj.get("spec") or {}).get("policyName") or "", []).append(obj)
            found = self._cache.resource(policies).entries()
            self._policies = [
                policy_of(entry.decode(), bound[entry.key.name]) for entry in found if entry.key.name in bound
            ]
        return self._policies

    # -- of one write ------------------------------------------------------------------------------------------------------

    async def invocations(self, match: Match, asked: Attributes) -> Sequence[Invocation | Problem]:
        """Of one that has none ``always``. Raises StatusError 404 for a namespace that is not there."""
        policy, found = match.policy, list[Invocation | Problem]()
        target = matched(policy.match, match.targets, asked, self._labels)
        if target is None:
            return found
        param_kind = None
        if policy.param_kind is not None:
            param_kind = self._catalog.by_kind(*policy.param_kind)
            if param_kind is None:
                text = f"failed to find resource referenced by paramKind: '{policy.shown_param_kind}'"
                return [Problem(policy, None, f"failed to configure policy: {text}")]
        for binding, targets in match.bindings:
            if matched(binding.match, targets, asked, self._labels) is None:
                continue
            try:
                params = await self._params(binding, param_kind, asked)
            except _Misconfigured as error:
                found.append(Problem(policy, binding, f"failed to configure binding: {error}"))
                continue
            found += [Invocation(policy, binding, target, param_kind, param) for param in params]
        return found

    def variables(self, about: Invocation, asked: Attributes, new: Object | None, old: Object | None) -> Object:
        """The values of those that it uses, but for ``variables``. ``new``, ``old``: as the policy is shown them."""
        uses = about.policy.uses
        out: Object = {"object": new, "oldObject": old, "params": None}
        if "request" in uses:
            request = request_of_kind(about.target, asked)
            out["request"] = {name: value for name, value in request.items() if name in _REQUEST and value is not None}
        if "namespaceObject" in uses:
            out["namespaceObject"] = self._namespace(asked)
        if "params" in uses and about.param is not None and about.param_kind is not None:
            out["params"] = decode_entry(about.param_kind, about.param)
        if "authorizer" in uses or "authorizer.requestResource" in uses:
            kind, authorizer = asked.kind, Authorizer(asked.user, self._ask)
            resource = ResourceCheck(
                authorizer, kind.group, kind.plural, asked.subresource, asked.namespace, asked.name
            )
            out |= {"authorizer": authorizer, "authorizer.requestResource": resource}
        return out

    def _labels(self, namespace: str) -> Object | None:
        entry = self._cache.get("namespaces", "", namespace)
        return dict(entry.meta.labels or {}) if entry is not None else None

    def _namespace(self, asked: Attributes) -> Object | None:
        if not asked.kind.namespaced:
            return None
        entry = self._cache.get("namespaces", "", asked.namespace)
        return _namespace_object(entry) if entry is not None else None

    async def _params(self, binding: Binding, kind: Kind | None, asked: Attributes) -> Sequence[Entry | None]:
        """Raises _Misconfigured."""
        ref = binding.params
        if kind is None or ref is None:
            return [None]
        namespace = ref.get("namespace") or ""
        if namespace and not kind.namespaced:
            raise _Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        if kind.namespaced and not namespace:
            namespace = asked.namespace if asked.kind.namespaced else ""
            if not namespace:
                raise _Misconfigured(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                )
        found: Sequence[Entry | None] = []
        if ref.get("name"):
            entry = self._cache.get(kind.resource, namespace, ref["name"])
            found = [entry] if entry is not None else []
        elif binding.selector is not None:
            try:
                found = await self._selected.chosen(kind.resource, namespace, binding.selector)
            except TooManyParams:
                raise _Misconfigured(f"more than {MOST_PARAMS} params are selected") from None
        if not found and ref.get("parameterNotFoundAction") == "Deny":
            raise _Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
        return found


def _always(
    policy: Policy, targets: Targets, bindings: Sequence[tuple[Binding, Targets]]
) -> tuple[Invocation, ...] | None:
    target = target_of_all(policy.match, targets)
    if target is None or policy.param_kind is not None:
        return None
    if any(target_of_all(binding.match, found) is None for binding, found in bindings):
        return None
    return tuple(Invocation(policy, binding, target, None, None) for binding, _ in bindings)


@lru_cache(maxsize=256)
def _namespace_object(entry: Entry) -> Object:
    return namespace_object(entry.decode(), entry.revision)


def namespace_object(namespace: Object, revision: int) -> Object:
    """The variable ``namespaceObject``: what expressions may know of the namespace of an object."""
    metadata, spec, status = namespace["metadata"], namespace.get("spec") or {}, namespace.get("status") or {}
    names = ("name", "generateName", "namespace", "labels", "annotations", "deletionGracePeriodSeconds", "generation")
    shown: Object = {name: metadata[name] for name in (*names, "finalizers") if name in metadata}
    shown |= {"UID": metadata.get("uid", ""), "resourceVersion": str(revision)}
    for name in ("creationTimestamp", "deletionTimestamp"):
        if metadata.get(name):
            shown[name] = _timestamp(metadata[name])
    conditions = [
        {
            name: _timestamp(value) if name == "lastTransitionTime" and value else value
            for name, value in condition.items()
        }
        for condition in status.get("conditions") or ()
    ]
    state = {"phase": status["phase"]} if "phase" in status else {}
    return {
        "metadata": shown,
        "spec": {"finalizers": list(spec.get("finalizers") or ())},
        "status": {**state, **({"conditions": conditions} if conditions else {})},
    }


def _timestamp(text: str) -> Timestamp | None:
    nanos = parse_timestamp(text)
    return Timestamp(nanos) if nanos is not None else None
