"""Where a resource is, below the address of any Kubernetes API."""

from __future__ import annotations

from urllib.parse import quote

from kafila.core.resources import split_api_version


def resource_path(api_version: str, resource: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """``/apis/apps/v1/namespaces/default/deployments/web/scale``; without a name the collection."""
    group, version = split_api_version(api_version)
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    if namespace:
        path += f"/namespaces/{namespace}"
    path += f"/{resource}"
    if name:
        path += f"/{quote(name, safe=':@!$&()*+,;=')}"
    return f"{path}/{subresource}" if subresource else path
