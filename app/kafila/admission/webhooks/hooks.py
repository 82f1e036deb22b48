"""A ValidatingWebhookConfiguration or MutatingWebhookConfiguration, compiled once per change of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, final

from kafila.core import selectors
from kafila.core.values import Object

MUTATING: Final = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING: Final = "validatingwebhookconfigurations.admissionregistration.k8s.io"
DEFAULT_TIMEOUT: Final = 10  # seconds; defaults fill it in
_ANY: Final = "*"


class ClientConfig(NamedTuple):
    """Where a webhook is: a URL, or a Service of the control plane. ``bundle``: the caBundle as it is stored."""

    url: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    port: int = 443
    bundle: str = ""

    @property
    def server_name(self) -> str:
        """Of a Service: what its certificate is issued to."""
        return f"{self.name}.{self.namespace}.svc"


class Rule(NamedTuple):
    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]  # resource and subresource
    scope: str

    def matches(
        self, group: str, version: str, plural: str, subresource: str, operation: str, *, cluster: bool
    ) -> bool:
        """``cluster``: whether objects of the resource are in no namespace, as namespaces themselves."""
        return (
            (self.scope == _ANY or (self.scope == "Cluster") is cluster)
            and _has(self.operations, operation)
            and _has(self.groups, group)
            and _has(self.versions, version)
            and any(res in (_ANY, plural) and sub in (_ANY, subresource) for res, sub in self.resources)
        )


def _has(allowed: frozenset[str], given: str) -> bool:
    return _ANY in allowed or given in allowed


class Condition(NamedTuple):
    """One of matchConditions: a CEL expression."""

    name: str
    expression: str


@final
class Hook(NamedTuple):
    """One webhook of a configuration. ``uid`` tells it from all others of its kind of configuration."""

    name: str
    configuration: str
    uid: str
    rules: tuple[Rule, ...]
    namespaces: selectors.Selector
    objects: selectors.Selector
    client: ClientConfig
    equivalent: bool  # matchPolicy
    ignores_failure: bool  # failurePolicy
    seconds: int  # timeoutSeconds
    effects: str | None  # sideEffects
    reinvoked: bool  # reinvocationPolicy IfNeeded
    versions: tuple[str, ...]  # admissionReviewVersions
    conditions: tuple[Condition, ...] = ()

    @property
    def dry_runs(self) -> bool:
        return self.effects in ("None", "NoneOnDryRun")


def hooks_of(configurations: Iterable[Object]) -> Iterator[Hook]:
    """In the order in which they are asked: by name of the configuration, then as they stand in it."""
    for configuration in sorted(configurations, key=lambda found: str(found["metadata"]["name"])):
        seen: dict[str, int] = {}
        for given in configuration.get("webhooks") or ():
            name = given["name"]
            number = seen[name] = seen.get(name, -1) + 1
            yield _hook(given, configuration["metadata"]["name"], number)


def _hook(given: Object, configuration: str, number: int) -> Hook:
    return Hook(
        name=given["name"],
        configuration=configuration,
        uid=f"{configuration}/{given['name']}/{number}",
        rules=tuple(map(rule_of, given.get("rules") or ())),
        namespaces=selector_of(given.get("namespaceSelector")),
        objects=selector_of(given.get("objectSelector")),
        client=client_of(given.get("clientConfig") or {}),
        equivalent=given.get("matchPolicy") != "Exact",
        ignores_failure=given.get("failurePolicy") == "Ignore",
        seconds=given.get("timeoutSeconds") or DEFAULT_TIMEOUT,
        effects=given.get("sideEffects"),
        reinvoked=given.get("reinvocationPolicy") == "IfNeeded",
        versions=tuple(given.get("admissionReviewVersions") or ()),
        conditions=tuple(Condition(each["name"], each["expression"]) for each in given.get("matchConditions") or ()),
    )


def rule_of(given: Object) -> Rule:
    split = [text.partition("/") for text in given.get("resources") or ()]
    return Rule(
        frozenset(given.get("operations") or ()),
        frozenset(given.get("apiGroups") or ()),
        frozenset(given.get("apiVersions") or ()),
        tuple((resource, subresource) for resource, _, subresource in split),
        given.get("scope") or _ANY,
    )


def selector_of(given: Object | None) -> selectors.Selector:
    return selectors.from_object(given if given is not None else {})


def client_of(config: Object) -> ClientConfig:
    """A ``WebhookClientConfig``, as configurations and CustomResourceDefinitions have it."""
    service, bundle = config.get("service"), config.get("caBundle") or ""
    if service is None:
        return ClientConfig(url=config.get("url") or "", bundle=bundle)
    return ClientConfig(
        namespace=service.get("namespace") or "",
        name=service.get("name") or "",
        path=service.get("path") or "",
        port=service.get("port") or 443,
        bundle=bundle,
    )
