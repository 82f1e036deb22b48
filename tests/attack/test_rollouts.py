"""What somebody may try with a rollout: made-up states, others' revisions, and very many clusters."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.values import Object
from kafila.placement.rollout.revision import name_of
from tests.attack.growth import too_much, weigh
from tests.integration.reconcile.conftest import Lab
from tests.integration.reconcile.conftest import lab as _lab

lab = _lab
BINDING = "settings-configmap"
SELECT = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]


@pytest.fixture
async def rolled(lab: Lab) -> Lab:
    await lab.join("m1", "m2")
    strategy = {"type": "Staged", "staged": {}}
    await lab.create(lab.policy("policy", "m1", "m2", select=SELECT, rolloutStrategy=strategy))
    await lab.create(lab.config())
    await lab.until(lambda: rollout(lab).get("phase") == "Succeeded")
    await lab.rest()
    return lab


def rollout(lab: Lab) -> Object:
    found: Object = (lab.get("ResourceBinding", BINDING).get("status") or {}).get("rollout") or {}
    return found


async def write(lab: Lab, **status: Any) -> None:
    def change(obj: Object) -> None:
        obj["status"]["rollout"] = {**obj["status"]["rollout"], **status}

    await lab.change("ResourceBinding", BINDING, change, subresource="status")


async def test_a_state_that_somebody_made_up_brings_nothing_but_the_template(rolled: Lab) -> None:
    """Another object's content, kept under the name that a revision of this one would have, is not taken for it."""
    other: Object = {
        "apiVersion": "placement.kafila.io/v1alpha1",
        "kind": "TemplateRevision",
        "metadata": {"name": name_of({"metadata": {"name": BINDING}}, "abc"), "namespace": "default"},
        "revision": "abc",
        "template": {**rolled.config("other"), "data": {"stolen": "x"}},
    }
    await rolled.create(other)
    rows = [
        {"name": "m1", "phase": "Pending", "revision": "abc"},
        {"name": "nowhere", "phase": "Progressing", "revision": "def", "startedAt": "9999-12-31T23:59:59Z"},
        {"name": "m1", "phase": "Succeeded", "revision": "abc"},
    ]
    await write(rolled, phase="Progressing", stableRevision="abc", clusters=rows)
    await rolled.change("ConfigMap", "settings", lambda obj: obj["data"].update(a="2"))
    await rolled.until(
        lambda: all(rolled.in_member(name, "ConfigMap", "settings")["data"] == {"a": "2"} for name in ("m1", "m2"))
    )
    await rolled.rest()
    assert rolled.in_clusters("ConfigMap", "other") == []


async def test_a_revision_that_somebody_deletes_moves_nothing(rolled: Lab) -> None:
    (kept,) = rolled.list("TemplateRevision")
    await rolled.delete("TemplateRevision", kept["metadata"]["name"])
    await rolled.rest()
    assert rolled.in_clusters("ConfigMap", "settings") == ["m1", "m2"]
    await rolled.change("ConfigMap", "settings", lambda obj: obj["data"].update(a="2"))
    await rolled.until(lambda: rolled.in_member("m2", "ConfigMap", "settings")["data"] == {"a": "2"})


def test_very_many_clusters_cost_no_more_than_as_many_looks() -> None:
    cases = weigh("tests.attack.weigh_rollouts")
    assert len(cases) == 3
    assert {case["case"]: too_much(case["weights"]) for case in cases} == {case["case"]: [] for case in cases}
