"""What is recorded of a request: the rules of an audit policy (audit.k8s.io), of which the first that matches decides."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from kafila.authorization import Attributes


class Level(IntEnum):
    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


LEVELS: Final = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
NAMES: Final = {level: name for name, level in LEVELS.items()}
REQUEST_RECEIVED: Final = "RequestReceived"
RESPONSE_STARTED: Final = "ResponseStarted"
RESPONSE_COMPLETE: Final = "ResponseComplete"
PANIC: Final = "Panic"
STAGES: Final = (REQUEST_RECEIVED, RESPONSE_STARTED, RESPONSE_COMPLETE, PANIC)


class GroupResources(NamedTuple):
    group: str = ""
    resources: tuple[str, ...] = ()  # none: all of the group
    names: frozenset[str] = frozenset()

    def match(self, asked: Attributes) -> bool:
        if self.group != asked.group:
            return False
        if not self.resources:
            return True
        if self.names and asked.name not in self.names:
            return False
        return any(_matches(pattern, asked.resource, asked.subresource) for pattern in self.resources)


class Rule(NamedTuple):
    """What is empty matches everything; a rule for resources matches no other path, and the other way round."""

    level: Level
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    resources: tuple[GroupResources, ...] = ()
    namespaces: frozenset[str] = frozenset()  # "": what has none
    paths: tuple[str, ...] = ()
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool | None = None  # None: as the policy says

    def match(self, asked: Attributes) -> bool:
        user = asked.user
        if self.users and (not user.name or user.name not in self.users):
            return False
        if self.groups and self.groups.isdisjoint(user.groups):
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return self._matches_resource(asked)
        if self.paths:
            return asked.path is not None and any(_matches_path(pattern, asked.path) for pattern in self.paths)
        return True

    def _matches_resource(self, asked: Attributes) -> bool:
        if asked.path is not None or (self.namespaces and asked.namespace not in self.namespaces):
            return False
        return not self.resources or any(each.match(asked) for each in self.resources)


class Verdict(NamedTuple):
    level: Level
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


class Policy(NamedTuple):
    rules: tuple[Rule, ...]
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False

    def verdict(self, asked: Attributes) -> Verdict:
        """What no rule matches is not recorded."""
        for rule in self.rules:
            if rule.match(asked):
                omit = self.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
                return Verdict(rule.level, self.omit_stages | rule.omit_stages, omit)
        return Verdict(Level.NONE, self.omit_stages, self.omit_managed_fields)


def _matches(pattern: str, resource: str, subresource: str) -> bool:
    """``pods``, ``pods/log``, ``pods/*`` (with ``pods`` itself), ``*/scale``, ``*``."""
    if pattern in ("*", f"{resource}/{subresource}" if subresource else resource):
        return True
    if subresource and pattern == f"*/{subresource}":
        return True
    return pattern == f"{resource}/*"


def _matches_path(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))
