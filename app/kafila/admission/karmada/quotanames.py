"""Names of resources that quotas and metrics may speak of."""

from __future__ import annotations

from kafila.catalog.builtin.validation.resources import CONTAINER_RESOURCES, STANDARD_RESOURCES, is_extended, is_native
from kafila.core.errors import FieldError
from kafila.core.names import qualified_name

_STANDARD = STANDARD_RESOURCES - {"storage"}
_HUGE_PAGES = ("hugepages-", "requests.hugepages-")


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
    elif not is_native(name) and not is_extended(name):
        found.append(FieldError.invalid(path, name, "doesn't follow extended resource name standard"))
    return found


def _resource_name(name: str, path: str, standard: bool) -> list[FieldError]:
    found = [FieldError.invalid(path, name, why) for why in qualified_name(name)]
    if not found and "/" not in name and not standard:
        found.append(FieldError.invalid(path, name, "must be a standard resource type or fully qualified"))
    return found
