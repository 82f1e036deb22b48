"""What the server says about itself: discovery in all forms, versions, health, OpenAPI's index."""

from __future__ import annotations

from differential.steps import Case
from kafila.catalog.catalog import builtin_kinds

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
OLDER = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


def cases() -> list[Case]:
    case = Case("documents", "discovery")
    paths = [
        "/",
        "/api",
        "/api/",
        "/apis",
        "/apis/",
        "/version",
        "/version/",
        "/healthz",
        "/livez",
        "/readyz",
        "/healthz/ping",
        "/livez/ping",
        "/readyz/ping",
        "/livez/bogus",
        "/openapi/v3/bogus",
        "/swagger.json",
        "/metrics/bogus",
    ]
    paths += sorted({f"/apis/{kind.group}" for kind in builtin_kinds() if kind.group})
    paths += sorted({f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}" for kind in builtin_kinds()})
    for path in paths:
        if path != "/":  # lists what else this server has
            case.ask(f"get {path}", "GET", path)
    for path in ("/api", "/apis"):
        for accept in (
            AGGREGATED,
            f"{AGGREGATED},{OLDER},application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
            "text/plain",
            f"{AGGREGATED};profile=nopeer",
        ):
            case.ask(f"{path} as {accept}", "GET", path, accept=accept)
    for path in ("/apis/apps", "/apis/apps/v1", "/version"):
        for accept in ("application/yaml", "application/vnd.kubernetes.protobuf", "text/plain"):
            case.ask(f"{path} as {accept}", "GET", path, accept=accept)
    return [case]
