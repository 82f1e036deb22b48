"""An interpreter webhook written with Karmada's own Go library: all operations, over simulated members."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from kafila.core.values import Object
from tests.integration.reconcile.conftest import Lab, _known_queues

__all__ = ["_known_queues"]  # ``rest`` looks at them
SELECT = [{"apiVersion": "v1", "kind": "ConfigMap", "labelSelector": {"matchLabels": {"kind": "workers"}}}]
HALVES = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}


@pytest.fixture
async def hook(go_programs: Path, tmp_path: Path) -> AsyncIterator[Object]:
    """Its ``clientConfig``."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    process = await asyncio.create_subprocess_exec(
        go_programs / "interpreter",
        "127.0.0.1:0",
        tmp_path / "tls.crt",
        tmp_path / "tls.key",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        bundle = base64.b64encode(authority.cert_pem.bytes()).decode()
        yield {"url": f"https://{address}/interpreter", "caBundle": bundle}
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def lab(hook: Object) -> AsyncIterator[Lab]:
    lab = await Lab().start()
    try:
        await lab.join("m1", "m2")
        rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "kinds": ["ConfigMap"]}
        await lab.create(
            {
                "apiVersion": "config.karmada.io/v1alpha1",
                "kind": "ResourceInterpreterWebhookConfiguration",
                "metadata": {"name": "workers"},
                "webhooks": [
                    {
                        "name": "workers.example.com",
                        "clientConfig": hook,
                        "rules": [{**rule, "operations": OPERATIONS}],
                        "interpreterContextVersions": ["v1alpha1"],
                    }
                ],
            }
        )
        await lab.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token", "namespace": "default"}})
        await lab.create(lab.policy(select=SELECT, scheduling=HALVES, propagateDeps=True))
        yield lab
    finally:
        await lab.close()


OPERATIONS = [
    "InterpretReplica",
    "ReviseReplica",
    "Retain",
    "InterpretStatus",
    "InterpretHealth",
    "AggregateStatus",
    "InterpretDependency",
]


def workers(lab: Lab, name: str, count: str) -> Object:
    return {**lab.config(name, kind="workers"), "data": {"workers": count}}


@pytest.mark.timeout(900)  # the first build compiles Karmada's library
async def test_every_operation_is_answered(lab: Lab) -> None:
    await lab.create(workers(lab, "settings", "6"))
    await lab.rest()
    assert lab.placed("settings-configmap") == {"m1": 3, "m2": 3}
    binding = lab.get("ResourceBinding", "settings-configmap")
    assert binding["spec"]["replicaRequirements"]["resourceRequest"] == {"cpu": "250m"}
    assert [(i["health"], i["status"]) for i in binding["status"]["aggregatedStatus"]] == [
        ("Healthy", {"workers": 3})
    ] * 2
    for member in ("m1", "m2"):
        assert lab.in_member(member, "ConfigMap", "settings")["data"] == {"workers": "3"}
        assert lab.in_member(member, "Secret", "token"), "dependencies follow"

    member = lab.members["m1"].registry
    kind = lab.kind("ConfigMap")
    await member.modify(
        kind, "default", "settings", lambda obj: {**obj, "data": {**obj["data"], "paused": "1"}}, lab.user
    )
    await lab.rest()
    await lab.change("ConfigMap", "settings", lambda obj: obj["data"].update(workers="8"))
    await lab.rest()
    assert lab.in_member("m1", "ConfigMap", "settings")["data"] == {"workers": "4", "paused": "1"}, "retained"
    assert lab.in_member("m2", "ConfigMap", "settings")["data"] == {"workers": "4"}
    items = lab.get("ResourceBinding", "settings-configmap")["status"]["aggregatedStatus"]
    assert {i["clusterName"]: i["health"] for i in items} == {"m1": "Unhealthy", "m2": "Healthy"}
    assert not lab.events("ResourceInterpreterWebhookConfiguration", "workers")


async def test_what_it_refuses_is_recorded_in_its_words(lab: Lab) -> None:
    await lab.create(workers(lab, "many", "9"))
    expected = 'webhook call failed, get status code: 422, msg: workers: "9"'
    await lab.until(lambda: any(expected in message for _, _, message, _ in lab.events("ConfigMap", "many")))
