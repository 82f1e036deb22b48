"""Names of API types and of stored objects.

A *resource* is written as in Kubernetes' own messages: ``pods``, ``deployments.apps`` (GroupResource's string form).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class GroupVersionKind(NamedTuple):
    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:  # Go's schema.GroupVersionKind.String()
        return f"{self.group}/{self.version}, Kind={self.kind}"


class Key(NamedTuple):
    """Where an object lives: ``Key("deployments.apps", "default", "nginx")``; namespace is "" for cluster-scoped objects."""

    resource: str
    namespace: str
    name: str


def group_resource(group: str, resource: str) -> str:
    return f"{resource}.{group}" if group else resource


def split_api_version(api_version: str) -> tuple[str, str]:
    """``"apps/v1"`` -> ``("apps", "v1")``, ``"v1"`` -> ``("", "v1")``. Raises ValueError on more than one slash."""
    group, slash, version = api_version.partition("/")
    if "/" in version:
        raise ValueError(f"unexpected GroupVersion string: {api_version}")
    return (group, version) if slash else ("", group)


def gvk_of(obj: dict[str, Any]) -> GroupVersionKind:
    group, version = split_api_version(obj.get("apiVersion") or "")
    return GroupVersionKind(group, version, obj.get("kind") or "")
