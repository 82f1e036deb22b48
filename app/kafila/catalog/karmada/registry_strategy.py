"""What is refused of a ResourceRegistry."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from kafila.catalog.kind import Strategy
from kafila.core.errors import FieldError
from kafila.core.names import dns1123_label, dns1123_subdomain
from kafila.core.resources import split_api_version
from kafila.core.values import Object

from .affinity import validate_cluster_affinity

MOST_ADDRESSES: Final = 16  # of one OpenSearch


def registry_strategy() -> Strategy:
    return Strategy(validate=validate_registry, name_rule=dns1123_subdomain, generation_fields=None)


def validate_registry(obj: Object) -> list[FieldError]:
    spec: dict[str, Any] = obj.get("spec") or {}
    found = validate_cluster_affinity(spec.get("targetCluster"), "spec.targetCluster")
    for index, selector in enumerate(spec.get("resourceSelectors") or ()):
        found += _selector(selector, f"spec.resourceSelectors[{index}]")
    search = (spec.get("backendStore") or {}).get("openSearch") or {}
    if len(search.get("addresses") or ()) > MOST_ADDRESSES:
        path = "spec.backendStore.openSearch.addresses"
        found.append(FieldError.too_many(path, len(search["addresses"]), MOST_ADDRESSES))
    text = "must be a valid http or https URL with non-empty scheme and host"
    for index, address in enumerate(search.get("addresses") or ()):
        if not _is_url(address):
            found.append(FieldError.invalid(f"spec.backendStore.openSearch.addresses[{index}]", address, text))
    return found


def _selector(selector: dict[str, Any], path: str) -> list[FieldError]:
    found = []
    version, namespace = selector.get("apiVersion") or "", selector.get("namespace") or ""
    if version:
        try:
            split_api_version(version)
        except ValueError as error:
            found.append(FieldError.invalid(f"{path}.apiVersion", version, str(error)))
    if namespace:
        found += [FieldError.invalid(f"{path}.namespace", namespace, why) for why in dns1123_label(namespace)]
    return found


def _is_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.netloc)
