"""A file with an audit Policy: read strictly, since a rule that is misspelt would record what it should not, or leave it out."""

from __future__ import annotations

import re
from typing import Final

from kafila.machinery.configuration import Node, read

from .policy import LEVELS, STAGES, GroupResources, Level, Policy, Rule

API_VERSION: Final = "audit.k8s.io/v1"
MOST_RULES: Final = 1000
_GROUP: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def read_policy(content: bytes) -> Policy:
    """Raises ConfigurationError with the line of what is wrong."""
    root = read(content)
    fields = root.fields("apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields")
    for name, wanted in (("apiVersion", API_VERSION), ("kind", "Policy")):
        if name not in fields or fields[name].text() != wanted:
            raise fields.get(name, root).error(f"{name} must be {wanted}")
    rules = tuple(_rule(item) for item in fields["rules"].items()) if "rules" in fields else ()
    if not rules:
        raise fields.get("rules", root).error("needs at least one rule")
    if len(rules) > MOST_RULES:
        raise fields["rules"].error(f"must have at most {MOST_RULES} rules")
    return Policy(rules, _stages(fields), _flag(fields) or False)


def _rule(node: Node) -> Rule:
    fields = node.fields(
        "level",
        "users",
        "userGroups",
        "verbs",
        "resources",
        "namespaces",
        "nonResourceURLs",
        "omitStages",
        "omitManagedFields",
    )
    resources = tuple(_resources(item) for item in fields["resources"].items()) if "resources" in fields else ()
    namespaces, paths = _texts(fields, "namespaces"), _paths(fields)
    if paths and (resources or namespaces):
        raise fields["nonResourceURLs"].error("rules cannot apply to both regular resources and non-resource URLs")
    return Rule(
        _level(node, fields),
        frozenset(_texts(fields, "users")),
        frozenset(_texts(fields, "userGroups")),
        frozenset(_texts(fields, "verbs")),
        resources,
        frozenset(namespaces),
        paths,
        _stages(fields),
        _flag(fields),
    )


def _level(node: Node, fields: dict[str, Node]) -> Level:
    if "level" not in fields:
        raise node.error("needs a level")
    name = fields["level"].text()
    if name not in LEVELS:
        raise fields["level"].error(f'unsupported value "{name}": must be one of {", ".join(LEVELS)}')
    return LEVELS[name]


def _resources(node: Node) -> GroupResources:
    fields = node.fields("group", "resources", "resourceNames")
    group = fields["group"].text() if "group" in fields else ""
    if group and not _GROUP.fullmatch(group):
        raise fields["group"].error(f'"{group}" is no name of an API group; a version does not belong here')
    resources, names = _texts(fields, "resources"), _texts(fields, "resourceNames")
    if names and not resources:
        raise fields["resourceNames"].error("using resourceNames requires at least one resource")
    return GroupResources(group, resources, frozenset(names))


def _paths(fields: dict[str, Node]) -> tuple[str, ...]:
    for item in fields["nonResourceURLs"].items() if "nonResourceURLs" in fields else ():
        path = item.text()
        if path == "*":
            continue
        if not path.startswith("/"):
            raise item.error('must begin with "/", or be "*"')
        if "*" in path[:-1]:
            raise item.error('"*" may only stand at the end')
    return _texts(fields, "nonResourceURLs")


def _stages(fields: dict[str, Node]) -> frozenset[str]:
    for item in fields["omitStages"].items() if "omitStages" in fields else ():
        if item.text() not in STAGES:
            raise item.error(f'unsupported value "{item.text()}": must be one of {", ".join(STAGES)}')
    return frozenset(_texts(fields, "omitStages"))


def _flag(fields: dict[str, Node]) -> bool | None:
    return fields["omitManagedFields"].boolean() if "omitManagedFields" in fields else None


def _texts(fields: dict[str, Node], name: str) -> tuple[str, ...]:
    return tuple(item.text() for item in fields[name].items()) if name in fields else ()
