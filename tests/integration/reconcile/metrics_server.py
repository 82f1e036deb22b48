"""A metrics server as the control plane's own API has one: an ASGI application that answers what a test wants."""

from __future__ import annotations

from typing import Any, final
from urllib.parse import parse_qs

import orjson

from kafila.core.clock import rfc3339
from kafila.core.values import Object


@final
class MetricsServer:
    """``answers``: a document for each path, or a status. ``pods``: usage by (namespace, label selector) and pod."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.asked.append((path, parse_qs(scope["query_string"].decode())))
        found = self.answers.get(path, 404)
        found = found() if callable(found) else found
        status, body = (found, b"404 page not found\n") if isinstance(found, int) else (200, orjson.dumps(found))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


def pod_metrics(pods: list[Object], cpu: str, container: str = "c") -> Object:
    """Every pod uses ``cpu``."""
    items = [
        {
            "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]},
            "timestamp": rfc3339(),
            "window": "0s",
            "containers": [{"name": container, "usage": {"cpu": cpu, "memory": "10Mi"}}],
        }
        for pod in pods
    ]
    return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items}
