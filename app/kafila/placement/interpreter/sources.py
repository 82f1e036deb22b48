"""Who interprets a kind before the native functions do: scripts of customizations, then webhooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from kafila.core.resources import GroupVersionKind, split_api_version
from kafila.core.values import Object
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.native import NATIVE
from kafila.placement.interpreter.operations import Operation
from kafila.placement.objects import name

RULES: Final[Mapping[Operation, str]] = {
    Operation.RETAIN: "retention",
    Operation.REPLICA: "replicaResource",
    Operation.COMPONENT: "componentResource",
    Operation.REVISE_REPLICA: "replicaRevision",
    Operation.REFLECT_STATUS: "statusReflection",
    Operation.AGGREGATE_STATUS: "statusAggregation",
    Operation.HEALTH: "healthInterpretation",
    Operation.DEPENDENCY: "dependencyInterpretation",
}


@final
@dataclass(frozen=True, slots=True)
class Script:
    """A script in a ResourceInterpreterCustomization."""

    customization: str
    operation: Operation
    text: str

    def __str__(self) -> str:
        return f"ResourceInterpreterCustomization({self.customization}) {self.operation}"


@final
@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook in a ResourceInterpreterWebhookConfiguration."""

    configuration: str
    webhook: str
    operation: Operation
    revision: str = ""  # of the configuration: another one may be another server

    @property
    def uid(self) -> str:
        return f"{self.configuration}/{self.webhook}"

    def __str__(self) -> str:
        return f"ResourceInterpreterWebhookConfiguration({self.configuration}) webhook {self.webhook} {self.operation}"


Source = Script | Hook


@final
class Sources:
    """All customizations and webhook configurations, as they are at one time."""

    def __init__(self, customizations: Iterable[Object] = (), configurations: Iterable[Object] = ()) -> None:
        self._scripts: dict[tuple[GroupVersionKind, Operation], list[Script]] = {}
        for customization in sorted(customizations, key=name):
            self._add_scripts(customization)
        self._hooks: list[tuple[str, Object, str, Object]] = sorted(
            (
                (f"{name(each)}/{hook['name']}", hook, name(each), each)
                for each in configurations
                for hook in each.get("webhooks") or ()
            ),
            key=lambda found: found[0],
        )
        self._known: dict[tuple[GroupVersionKind, Operation], tuple[Source, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._scripts or self._hooks)

    def hook(self, source: Hook) -> Object:
        """The webhook as it is configured. Raises InterpretError."""
        for uid, hook, _, _ in self._hooks:
            if uid == source.uid:
                return hook
        raise InterpretError("it is not configured any more")

    def find(self, gvk: GroupVersionKind, operation: Operation) -> tuple[Source, ...]:
        """Who is asked: one script, all scripts that name dependencies, or the first webhook; nobody leaves it to us."""
        found = self._known.get((gvk, operation))
        if found is None:
            found = tuple(self._scripts.get((gvk, operation), ())) or self._first_hook(gvk, operation)
            self._known[gvk, operation] = found
        return found

    def hook_enabled(self, gvk: GroupVersionKind, operation: Operation) -> bool:
        return bool(self.find(gvk, operation)) or NATIVE.hook_enabled(gvk, operation)

    def _add_scripts(self, customization: Object) -> None:
        target = customization["spec"]["target"]
        try:
            gvk = GroupVersionKind(*split_api_version(target.get("apiVersion") or ""), target.get("kind") or "")
        except ValueError:
            return  # of no kind there can be
        rules = customization["spec"].get("customizations") or {}
        for operation, field in RULES.items():
            text = (rules.get(field) or {}).get("luaScript")
            if not text:
                continue
            scripts = self._scripts.setdefault((gvk, operation), [])
            # the first one by name counts, but dependencies add up
            if not scripts or operation is Operation.DEPENDENCY:
                scripts.append(Script(name(customization), operation, text))

    def _first_hook(self, gvk: GroupVersionKind, operation: Operation) -> tuple[Source, ...]:
        for _, hook, configuration, obj in self._hooks:
            if any(_matches(rule, gvk, operation) for rule in hook.get("rules") or ()):
                revision = str(obj["metadata"].get("resourceVersion") or "")
                return (Hook(configuration, hook["name"], operation, revision),)
        return ()


def concerns(configured: Object, gvk: GroupVersionKind) -> bool:
    """Can a customization or webhook configuration interpret this kind?"""
    if configured.get("kind") == "ResourceInterpreterCustomization":
        target = configured["spec"]["target"]
        return target.get("apiVersion") == gvk.api_version and target.get("kind") == gvk.kind
    return any(
        _listed(rule.get("apiGroups") or (), gvk.group) and _listed(rule.get("kinds") or (), gvk.kind)
        for hook in configured.get("webhooks") or ()
        for rule in hook.get("rules") or ()
    )


def _matches(rule: Object, gvk: GroupVersionKind, operation: Operation) -> bool:
    asked = (
        ("operations", operation.value),
        ("apiGroups", gvk.group),
        ("apiVersions", gvk.version),
        ("kinds", gvk.kind),
    )
    return all(_listed(rule.get(field) or (), value) for field, value in asked)


def _listed(values: Iterable[Any], value: str) -> bool:
    return any(each in ("*", value) for each in values)
