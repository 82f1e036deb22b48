"""Asks ValidatingAdmissionPolicies while writes are prepared: in place where they are cheap, in a thread where they may not be."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, final

import orjson
from prometheus_client import Histogram

from kafila.admission.policies.evaluation import Decision, Outcome, TooLong, evaluate
from kafila.admission.policies.matching import Targets, matched, targets_of
from kafila.admission.policies.policy import BINDINGS, POLICIES, Binding, Policy, policy_of
from kafila.admission.webhooks.attributes import Attributes
from kafila.admission.webhooks.index import equivalents_of
from kafila.admission.webhooks.reviews import request_of_kind
from kafila.catalog.catalog import Catalog
from kafila.catalog.kind import Kind
from kafila.cel import admission as expressions
from kafila.cel.gotext import parse_timestamp
from kafila.cel.libraries.authorizer import Ask, Authorizer, ResourceCheck
from kafila.cel.values import Timestamp
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.watch import Cache, Entry

from .codec import decode_entry
from .threads import BIG, in_thread

QUICK: Final = 5_000  # of cost: some milliseconds
LONGEST_ANNOTATION: Final = 10 * 1024  # characters
MOST_PARAMS: Final = 1_000  # of one binding
FAILURE: Final = "validation.policy.admission.k8s.io/validation_failure"
SECONDS: Final = Histogram(
    "apiserver_validating_admission_policy_check_duration_seconds",
    "What policies found, by what became of it: a request that a binding denies, warns of or records, or an error.",
    ["policy", "policy_binding", "error_type", "enforcement_action"],
)
_CODES: Final = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}
_REQUEST: Final = frozenset(expressions.FIELDS["kubernetes.AdmissionRequest"])
_EXEMPT: Final = ("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
Shown = Callable[[Kind, Attributes], Awaitable[tuple[Object | None, Object | None]]]
Key = tuple[str, str, str, str, str]


class _Match(NamedTuple):
    policy: Policy
    targets: Targets
    bindings: tuple[tuple[Binding, Targets], ...]


class _Misconfigured(Exception):
    """The text says what of a policy or binding cannot be used."""


class _Denied(NamedTuple):
    policy: Policy
    binding: Binding | None
    decision: Decision


@final
class Policies:
    """``ask``: what the variable ``authorizer`` is answered with. ``shown``: the new and the old object in the version of another kind."""

    def __init__(self, cache: Cache, catalog: Catalog, ask: Ask, shown: Shown) -> None:
        self._cache = cache
        self._catalog = catalog
        self._ask = ask
        self._shown = shown
        self._policies: list[Policy] | None = None
        self._revision = -1
        self._known: dict[Key, tuple[_Match, ...]] = {}
        for resource in (POLICIES, BINDINGS):
            cache.listen(resource, lambda event: self._forget())
        cache.on_reset(self._forget)

    def _forget(self) -> None:
        self._policies = None
        self._known.clear()

    def __bool__(self) -> bool:
        return bool(self._cache.resource(POLICIES).objects) and bool(self._cache.resource(BINDINGS).objects)

    def matching(self, kind: Kind, subresource: str, operation: str) -> Sequence[_Match]:
        """Those whose rules match, whatever the object is."""
        if self._catalog.revision != self._revision:
            self._known.clear()
            self._revision = self._catalog.revision
        key = (kind.group, kind.version, kind.plural, subresource, operation)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = tuple(self._found(kind, subresource, operation))
        return found

    def _found(self, kind: Kind, subresource: str, operation: str) -> Iterator[_Match]:
        if kind.kind.removesuffix("Binding") in _EXEMPT:
            return
        others = equivalents_of(self._catalog, kind, subresource)
        for policy in self._all():
            targets = targets_of(policy.match, kind, others, subresource, operation)
            if targets.found:
                bindings = ((b, targets_of(b.match, kind, others, subresource, operation)) for b in policy.bindings)
                yield _Match(policy, targets, tuple((b, t) for b, t in bindings if t.found))

    def _all(self) -> list[Policy]:
        """By name, those that something binds."""
        if self._policies is None:
            bound: dict[str, list[Object]] = {}
            for entry in self._cache.resource(BINDINGS).entries():
                obj = entry.decode()
                bound.setdefault((obj.get("spec") or {}).get("policyName") or "", []).append(obj)
            found = self._cache.resource(POLICIES).entries()
            self._policies = [
                policy_of(entry.decode(), bound[entry.key.name]) for entry in found if entry.key.name in bound
            ]
        return self._policies

    async def check(self, matches: Sequence[_Match], asked: Attributes, options: Any, size: int) -> None:
        """Warns and annotates by ``options``. Raises StatusError."""
        denied: list[_Denied] = []
        for match in matches:
            denied += await self._checked(match, asked, options, size)
        if denied:
            raise _refusal(asked, denied[0])

    async def _checked(self, match: _Match, asked: Attributes, options: Any, size: int) -> list[_Denied]:
        policy, denied = match.policy, []
        target = matched(policy.match, match.targets, asked, self._labels)
        if target is None:
            return []
        param_kind = None
        if policy.param_kind is not None:
            param_kind = self._catalog.by_kind(*policy.param_kind)
            if param_kind is None:
                text = f"failed to find resource referenced by paramKind: '{policy.shown_param_kind}'"
                return _misconfigured(policy, None, f"failed to configure policy: {text}")
        annotations: dict[str, list[str]] = {}
        for binding, targets in match.bindings:
            if matched(binding.match, targets, asked, self._labels) is None:
                continue
            try:
                params = self._params(binding, param_kind, asked)
            except _Misconfigured as error:
                denied += _misconfigured(policy, binding, f"failed to configure binding: {error}")
                continue
            for param in params:
                outcome = await self._evaluated(policy, binding, target, param, param_kind, asked, size)
                denied += [_Denied(policy, binding, d) for d in self._acted_on(policy, binding, outcome, options)]
                for key, value in outcome.annotations:
                    values = annotations.setdefault(key, [])
                    if value[:LONGEST_ANNOTATION] not in values:
                        values.append(value[:LONGEST_ANNOTATION])
        if options.annotate is not None:
            for key, values in annotations.items():
                options.annotate(f"{policy.name}/{key}", ", ".join(values), False)
        return denied

    def _acted_on(self, policy: Policy, binding: Binding, outcome: Outcome, options: Any) -> list[Decision]:
        """What the binding says of each decision; those that it denies the request for."""
        for decision in outcome.denied:
            if "Warn" in binding.actions:
                by = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
                options.warn([f"Validation failed for {by}: {decision.message}"])
            if "Audit" in binding.actions and options.annotate is not None:
                said = {
                    "message": decision.message,
                    "policy": policy.name,
                    "binding": binding.name,
                    "expressionIndex": decision.place,
                    "validationActions": list(binding.actions),
                }
                options.annotate(FAILURE, orjson.dumps([said]).decode(), False)
        return list(outcome.denied) if "Deny" in binding.actions else []

    async def _evaluated(
        self,
        policy: Policy,
        binding: Binding,
        target: Kind,
        param: Entry | None,
        param_kind: Kind | None,
        asked: Attributes,
        size: int,
    ) -> Outcome:
        began = time.perf_counter()
        new, old = await self._shown(target, asked)
        work = partial(self._outcome, policy, target, (new, old), param, param_kind, asked)
        try:
            outcome = await in_thread(size, partial(work, QUICK))
        except TooLong:
            outcome = await in_thread(max(size, BIG), partial(work, None))
        if outcome.denied:
            seconds, error = time.perf_counter() - began, outcome.denied[0].error
            for action in binding.actions:
                kind = "invalid_error" if error else "no_error"
                SECONDS.labels(policy.name, binding.name, kind, action.lower()).observe(seconds)
        return outcome

    def _outcome(
        self,
        policy: Policy,
        target: Kind,
        shown: tuple[Object | None, Object | None],
        param: Entry | None,
        param_kind: Kind | None,
        asked: Attributes,
        most: int | None,
    ) -> Outcome:
        authorizer, kind = Authorizer(asked.user, self._ask), asked.kind
        resource = ResourceCheck(authorizer, kind.group, kind.plural, asked.subresource, asked.namespace, asked.name)
        request = request_of_kind(target, asked)
        bindings = {
            "object": shown[0],
            "oldObject": shown[1],
            "namespaceObject": self._namespace(asked),
            "request": {name: value for name, value in request.items() if name in _REQUEST and value is not None},
            "params": decode_entry(param_kind, param) if param is not None and param_kind is not None else None,
            "authorizer": authorizer,
            "authorizer.requestResource": resource,
        }
        return evaluate(policy, bindings, most)

    # -- what is looked up -----------------------------------------------------------------------------------------------

    def _labels(self, namespace: str) -> Object | None:
        entry = self._cache.get("namespaces", "", namespace)
        return dict(entry.meta.labels or {}) if entry is not None else None

    def _namespace(self, asked: Attributes) -> Object | None:
        if not asked.kind.namespaced:
            return None
        entry = self._cache.get("namespaces", "", asked.namespace)
        return namespace_object(entry.decode(), entry.revision) if entry is not None else None

    def _params(self, binding: Binding, kind: Kind | None, asked: Attributes) -> list[Entry | None]:
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
        found: list[Entry | None] = []
        if ref.get("name"):
            entry = self._cache.get(kind.resource, namespace, ref["name"])
            found = [entry] if entry is not None else []
        elif binding.selector is not None:
            for entry in self._cache.resource(kind.resource).entries(namespace):
                if binding.selector.matches(entry.meta.labels or {}):
                    found.append(entry)
                    if len(found) > MOST_PARAMS:
                        raise _Misconfigured(f"more than {MOST_PARAMS} params are selected")
        if not found and ref.get("parameterNotFoundAction") == "Deny":
            raise _Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
        return found


def _misconfigured(policy: Policy, binding: Binding | None, text: str) -> list[_Denied]:
    return [] if policy.ignores_failure else [_Denied(policy, binding, Decision(0, text, error=True))]


def _refusal(asked: Attributes, denied: _Denied) -> StatusError:
    by = f"ValidatingAdmissionPolicy '{denied.policy.name}'"
    if denied.binding is not None:
        by += f" with binding '{denied.binding.name}'"
    text = f"{by} denied request: {denied.decision.message}"
    kind = asked.kind
    name = asked.name or ((asked.new or {}).get("metadata") or {}).get("generateName") or ""
    error = errors.forbidden(kind.group, kind.plural, name, text)
    error.reason = denied.decision.reason or "Invalid"
    error.code = _CODES.get(error.reason, 422)
    error.details = {**(error.details or {}), "causes": [{"message": text}]}
    return error


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
