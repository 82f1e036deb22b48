"""What is recorded, and that nothing is written when nothing has changed."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.reconcile.karmada.template import unselected
from kafila.registry.context import DeleteOptions

Lab = Any  # of conftest


async def propagated(lab: Lab) -> None:
    await lab.create(lab.policy("policy", "m1", "m2"))
    await lab.create(lab.deployment())
    await lab.rest()


async def test_each_step_is_recorded_once(two: Lab) -> None:
    await propagated(two)
    template = {e[1:3]: e[3] for e in two.events("Deployment", "web")}
    assert template == {
        ("GetReplicasSucceed", "Get replicas of resource template successfully."): 1,
        ("ApplyPolicySucceed", "Apply policy(default/policy) succeed"): 1,
        ("ScheduleBindingSucceed", "Binding has been scheduled successfully. Result: {m1:2, m2:2}"): 1,
        ("SyncWorkSucceed", "Sync work of ResourceBinding(default/web-deployment) successful."): 1,
        ("SyncSucceed", "Successfully applied resource(default/web) to cluster m1"): 1,
        ("SyncSucceed", "Successfully applied resource(default/web) to cluster m2"): 1,
        ("AggregateStatusSucceed", "Update Resource with AggregatedStatus successfully."): template[
            ("AggregateStatusSucceed", "Update Resource with AggregatedStatus successfully.")
        ],
    }
    told = [(e[1], e[3]) for e in two.events("ResourceBinding", "web-deployment") if e[1] != "AggregateStatusSucceed"]
    assert sorted(told) == [("ScheduleBindingSucceed", 1), ("SyncWorkSucceed", 1)]
    assert all(e[0] == "Normal" for e in two.events("ResourceBinding", "web-deployment"))


async def test_at_rest_nothing_is_written(two: Lab) -> None:
    await propagated(two)
    await two.counted()
    revision = await two.rest()
    members = [m.registry.cache.revision for m in two.members.values()]
    two.resync_controllers()
    await two.rest()
    assert two.log_after(revision) == []
    await two.restart()
    await two.rest()
    assert two.log_after(revision) == []
    assert [m.registry.cache.revision for m in two.members.values()] == members


async def test_a_touched_policy_writes_nothing_else(two: Lab) -> None:
    await propagated(two)
    before = [two.get("Deployment", "web"), *two.list("ResourceBinding"), *two.list("Work")]
    await two.change("PropagationPolicy", "policy", lambda obj: obj["metadata"].update(annotations={"note": "1"}))
    await two.rest()
    assert [two.get("Deployment", "web"), *two.list("ResourceBinding"), *two.list("Work")] == before


async def test_a_status_alone_does_not_move_the_binding(two: Lab) -> None:
    await propagated(two)
    before = two.get("ResourceBinding", "web-deployment")
    await two.change("Deployment", "web", lambda obj: obj["status"].update(observedGeneration=1), subresource="status")
    await two.rest()
    after = two.get("ResourceBinding", "web-deployment")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_an_edit_shows_in_the_binding_and_its_generation(two: Lab) -> None:
    await propagated(two)
    before = two.get("ResourceBinding", "web-deployment")
    edited = await two.change("Deployment", "web", lambda obj: obj["metadata"]["labels"].update(version="2"))
    await two.rest()
    after = two.get("ResourceBinding", "web-deployment")
    assert after["spec"]["resource"]["resourceVersion"] == edited["metadata"]["resourceVersion"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert after["status"]["schedulerObservedGeneration"] == after["metadata"]["generation"]
    assert [e[3] for e in two.events("Deployment", "web") if e[1] == "ApplyPolicySucceed"] == [2]
    assert two.in_member("m2", "Deployment", "web")["metadata"]["labels"]["version"] == "2"


async def test_a_change_while_nobody_looked_is_found(two: Lab) -> None:
    await propagated(two)
    await two.controllers_stop()
    edited = await two.change(
        "Deployment", "web", lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(image="nginx:2")
    )
    await two.restart()
    await two.rest()
    for name in two.members:
        assert (
            two.in_member(name, "Deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
        )
    binding = two.get("ResourceBinding", "web-deployment")
    assert binding["spec"]["resource"]["resourceVersion"] == edited["metadata"]["resourceVersion"]


async def test_what_was_lost_in_a_member_is_recorded_as_made_again(two: Lab) -> None:
    await propagated(two)
    member, kind = two.members["m2"].registry, two.kind("Deployment")
    uid = two.in_member("m2", "Deployment", "web")["metadata"]["uid"]
    await member.delete(kind, "default", "web", DeleteOptions())
    await two.until(lambda: two.in_member("m2", "Deployment", "web").get("metadata", {}).get("uid", uid) != uid)
    await two.rest()
    work = next(
        w for w in two.list("Work") if w["metadata"]["name"].startswith("web-") and "m2" in w["metadata"]["namespace"]
    )
    reasons = {c["type"]: c["reason"] for c in work["status"]["conditions"]}
    assert reasons == {"Applied": "ReCreateSuccessful", "Dispatching": "Dispatching"}
    told = [
        (event["source"]["component"], event["count"])
        for event in two.list("Event")
        if event["message"] == "Successfully applied resource(default/web) to cluster m2"
    ]
    assert sorted(told) == [("execution-controller", 1), ("work-status-controller", 1)]
    # the next version is applied as any other
    await two.change("Deployment", "web", lambda obj: obj["metadata"]["labels"].update(version="2"))
    await two.until(lambda: "AppliedSuccessful" in str(two.get("Work", work["metadata"]["name"], "karmada-es-m2")))


async def test_an_ordinary_deletion_is_no_warning(two: Lab) -> None:
    await propagated(two)
    await two.delete("Deployment", "web")
    await two.until(lambda: two.list("ResourceBinding") == [])
    await two.rest()
    assert [event for event in two.list("Event") if event["type"] == "Warning"] == []


async def test_a_workload_that_no_policy_selects_says_so_once(two: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unselected, "GRACE_PERIOD", 0.2)
    await two.create(two.policy(select=[{"apiVersion": "apps/v1", "kind": "Deployment", "name": "selected"}]))
    for obj in (two.deployment(), two.deployment("selected"), two.config()):
        await two.create(obj)
    told = [("Warning", unselected.EVENT_NO_POLICY, unselected.MESSAGE, 1)]
    await two.rest()
    assert two.events("Deployment", "web") == told
    await two.change("Deployment", "web", lambda obj: obj["spec"].update(replicas=5))
    await two.rest()
    assert two.events("Deployment", "web") == told
    assert not [e for e in two.list("Event") if e["reason"] == unselected.EVENT_NO_POLICY and "web" not in str(e)]
