"""What is big is worked on in threads: the event loop's own thread does no more for it than for what is small."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from kafila.core.values import Object
from tests.integration.api.conftest import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Api,
    configmap,
    deployment,
)
from tests.profiling import noting

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"
ON_THE_LOOP = 3000  # calls that one request may cost there, whatever its size


@contextmanager
def counting() -> Iterator[list[int]]:
    """Calls of the application's functions in this thread."""
    calls = [0]

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and "/kafila/" in frame.f_code.co_filename:
            calls[0] += 1

    with noting(note):
        yield calls


def big(name: str, image: str = "i") -> Object:
    found = deployment(name)
    found["spec"]["template"]["spec"]["containers"] = [{"name": f"c{i}", "image": image} for i in range(2000)]
    return found


def containers(image: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": f"c{i}", "image": image} for i in range(2000)]}}}}


MANY = [{"key": f"a{i}", "operator": "In", "values": ["b"]} for i in range(10_000)]
REQUESTS: dict[str, tuple[str, str, Any, Object]] = {
    "create": ("POST", DEPLOYMENTS, big("new"), {}),
    "create in YAML": ("POST", DEPLOYMENTS, yaml.dump(big("new")).encode(), {"type": "application/yaml"}),
    "dry run": ("POST", f"{DEPLOYMENTS}?dryRun=All", big("new"), {}),
    "invalid": ("POST", DEPLOYMENTS, big("new", ""), {}),
    "unknown fields": ("POST", MAPS, {**configmap("new"), **{f"x{i}": 1 for i in range(20_000)}}, {}),
    "no JSON": ("POST", MAPS, json.dumps(configmap("new", a="x" * 100_000)).encode()[:-1], {}),
    "update": ("PUT", f"{DEPLOYMENTS}/old", big("old", "j"), {}),
    "merge": ("PATCH", f"{DEPLOYMENTS}/old", containers("j"), {"type": MERGE_PATCH}),
    "strategic": ("PATCH", f"{DEPLOYMENTS}/old", containers("j"), {"type": STRATEGIC_PATCH}),
    "json": (
        "PATCH",
        f"{DEPLOYMENTS}/old",
        [{"op": "replace", "path": f"/spec/template/spec/containers/{i}/image", "value": "j"} for i in range(2000)],
        {"type": JSON_PATCH},
    ),
    "apply": ("PATCH", f"{DEPLOYMENTS}/old?fieldManager=x&force=1", big("old", "j"), {"type": APPLY_PATCH}),
    "apply what is new": ("PATCH", f"{DEPLOYMENTS}/new?fieldManager=x", big("new"), {"type": APPLY_PATCH}),
    "conflict": ("PATCH", f"{DEPLOYMENTS}/old?fieldManager=x", big("old", "j"), {"type": APPLY_PATCH}),
    "small patch of what is big": (
        "PATCH",
        f"{DEPLOYMENTS}/old",
        {"metadata": {"labels": {"a": "b"}}},
        {"type": MERGE_PATCH},
    ),
    "scale": ("PATCH", f"{DEPLOYMENTS}/old/scale", {"spec": {"replicas": 3}}, {"type": MERGE_PATCH}),
    "status": ("PATCH", f"{DEPLOYMENTS}/old/status", {"status": {"replicas": 3}}, {"type": MERGE_PATCH}),
    "delete": ("DELETE", f"{DEPLOYMENTS}/old", None, {}),
    "options": ("DELETE", f"{DEPLOYMENTS}/old", {"dryRun": ["All"], "x": ["y"] * 50_000}, {}),
    "as YAML": ("GET", f"{DEPLOYMENTS}/old", None, {"headers": {"accept": "application/yaml"}}),
    "as protobuf": ("GET", f"{DEPLOYMENTS}/old", None, {"headers": {"accept": "application/vnd.kubernetes.protobuf"}}),
    "list as protobuf": ("GET", DEPLOYMENTS, None, {"headers": {"accept": "application/vnd.kubernetes.protobuf"}}),
    "review": (
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": {"verb": "get"}}, **{f"x{i}": 1 for i in range(20_000)}},
        {},
    ),
    "review of labels": (
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": {"labelSelector": {"rawSelector": ",".join(f"a{i}" for i in range(20_000))}}}},
        {},
    ),
    "review of fields": (
        "POST",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {"spec": {"user": "x", "resourceAttributes": {"fieldSelector": {"requirements": MANY}}}},
        {},
    ),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_the_loop_does_little_for_what_is_big(api: Api, what: str) -> None:
    method, path, body, options = REQUESTS[what]
    await api.made(DEPLOYMENTS, big("old"))
    await api.made(f"{DEPLOYMENTS}?dryRun=All", deployment("warm"))  # types are compiled once
    with counting() as calls:
        answer = await api.ask(method, path, body, **options)
    assert answer.status_code in (200, 201, 400, 409, 422), answer.text[:300]
    assert 0 < calls[0] < ON_THE_LOOP, calls[0]
