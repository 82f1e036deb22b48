"""Names of resources that quotas and metrics may speak of."""

from __future__ import annotations

from app.catalog.builtin.validation.resources import CONTAINER_RESOURCES, STANDARD_RESOURCES
from app.core.errors import FieldError
from app.core.names import qualified_name

_STANDARD = STANDARD_RESOURCES - {"storage"}
_COUNTED = frozenset(
    {
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)
_HUGE_PAGES = ("hugepages-", "requests.hugepages-")


def is_integer_resource(name: str) -> bool:
    return name in _COUNTED or is_extended_resource(name)


def is_extended_resource(name: str) -> bool:
    """A resource of a vendor's domain."""
    if _is_native(name) or name.startswith("requests."):
        return False
    return not qualified_name(f"requests.{name}")


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def quota_resource_name(name: str, path: str) -> list[FieldError]:
    found = _resource_name(name, path, name == "storage" or name in _STANDARD or name.startswith(_HUGE_PAGES))
    if "/" not in name and not (name in _STANDARD or name.startswith(_HUGE_PAGES)):
        found.append(FieldError.invalid(path, name, "must be a standard resource for quota"))
    return found


def container_resource_name(name: str, path: str) -> list[FieldError]:
    found = _resource_name(name, path, name == "storage" or name in _STANDARD or name.startswith(_HUGE_PAGES))
    if "/" not in name:
        if name not in CONTAINER_RESOURCES and not name.startswith("hugepages-"):
            found.append(FieldError.invalid(path, name, "must be a standard resource for containers"))
    elif not _is_native(name) and not is_extended_resource(name):
        found.append(FieldError.invalid(path, name, "doesn't follow extended resource name standard"))
    return found


def _resource_name(name: str, path: str, standard: bool) -> list[FieldError]:
    found = [FieldError.invalid(path, name, why) for why in qualified_name(name)]
    if not found and "/" not in name and not standard:
        found.append(FieldError.invalid(path, name, "must be a standard resource type or fully qualified"))
    return found
