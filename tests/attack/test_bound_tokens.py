"""A token that is bound to a Secret, a Pod or a Node ends with it, as with kube-apiserver."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.authentication import serviceaccounts
from kafila.authentication.credentials import Credentials
from kafila.core import errors
from kafila.core.clock import rfc3339
from kafila.identity.certificates import new_signing_key
from kafila.identity.tokens import Tokens
from kafila.registry import User

NAMESPACE = "/api/v1/namespaces/default"
POD = {
    "metadata": {"name": "bound", "finalizers": ["example.com/stay"]},
    "spec": {"serviceAccountName": "robot", "nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
}
OBJECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Secret": (f"{NAMESPACE}/secrets", {"metadata": {"name": "bound", "finalizers": ["example.com/stay"]}}),
    "Pod": (f"{NAMESPACE}/pods", POD),
    "Node": ("/api/v1/nodes", {"metadata": {"name": "bound", "finalizers": ["example.com/stay"]}}),
}
STRANGERS = {"Secret": {}, "Node": {}, "Pod": {"spec": POD["spec"]}}


@pytest.fixture
async def issuing(api: Any) -> Any:
    api.app.tokens = Tokens(new_signing_key())
    await api.made(f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "robot"}})
    await api.made("/api/v1/nodes", {"metadata": {"name": "n1"}})
    return api


async def bound(api: Any, kind: str) -> tuple[str, dict[str, Any]]:
    path, obj = OBJECTS[kind]
    made = await api.made(path, obj)
    reference = {"apiVersion": "v1", "kind": kind, "name": "bound"}
    answer = await api.post(f"{NAMESPACE}/serviceaccounts/robot/token", {"spec": {"boundObjectRef": reference}})
    assert answer.status_code == 201, answer.text
    return answer.json()["status"]["token"], made


def caller(api: Any, token: str) -> User | None:
    shown = Credentials([(b"authorization", f"Bearer {token}".encode())])
    try:
        return api.app.authentication.at_once(shown)
    except errors.StatusError:
        return None


@pytest.mark.parametrize("kind", sorted(OBJECTS))
async def test_it_ends_with_what_it_is_bound_to(issuing: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token, made = await bound(issuing, kind)
    path = f"{OBJECTS[kind][0]}/bound"
    assert caller(issuing, token) is not None
    await issuing.delete(path, {"gracePeriodSeconds": 0})
    ending = (await issuing.get(path)).json()["metadata"]["deletionTimestamp"]
    assert caller(issuing, token) is not None  # what is still there a moment ends a minute later, as clocks differ
    monkeypatch.setattr(serviceaccounts.time, "time", lambda: serviceaccounts.parse_rfc3339(ending) + 61)
    assert caller(issuing, token) is None
    monkeypatch.undo()
    await issuing.patch(path, {"metadata": {"finalizers": None}})
    assert (await issuing.get(path)).status_code == 404
    assert caller(issuing, token) is None
    await issuing.made(OBJECTS[kind][0], {"metadata": {"name": "bound"}, **STRANGERS[kind]})  # of the same name
    assert caller(issuing, token) is None
    assert made["metadata"]["name"] == "bound"


async def test_it_tells_of_the_pod_and_its_node(issuing: Any) -> None:
    token, made = await bound(issuing, "Pod")
    user = caller(issuing, token)
    assert user is not None
    extra = {name.removeprefix("authentication.kubernetes.io/"): values for name, values in user.extra}
    node = (await issuing.get("/api/v1/nodes/n1")).json()["metadata"]["uid"]
    assert extra.pop("credential-id")[0].startswith("JTI=")
    told = {"pod-name": ("bound",), "pod-uid": (made["metadata"]["uid"],), "node-name": ("n1",), "node-uid": (node,)}
    assert extra == told
    await issuing.delete("/api/v1/nodes/n1")  # that is not what it is bound to
    assert caller(issuing, token) is not None


async def test_an_account_that_ends_is_nobody(issuing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{NAMESPACE}/serviceaccounts/robot"
    token = (await issuing.post(f"{path}/token", {})).json()["status"]["token"]
    await issuing.patch(path, {"metadata": {"finalizers": ["example.com/stay"]}})
    await issuing.delete(path)
    assert rfc3339()[:4] in (await issuing.get(path)).json()["metadata"]["deletionTimestamp"]
    assert caller(issuing, token) is not None
    now = serviceaccounts.time.time() + 3600
    monkeypatch.setattr(serviceaccounts.time, "time", lambda: now)
    assert caller(issuing, token) is None
