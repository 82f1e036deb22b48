"""A template of thousands of containers: interpreted, overridden and compared in threads, while the event loop serves others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafila.core.values import Object
from tests.profiling import noting

from .conftest import Lab

MANY = 2000  # containers
AT_ONCE = 2000  # calls that a controller may make before others have their turn, whatever the size of a template
OURS = ("/kafila/placement/", "/kafila/reconcile/karmada/", "/kafila/reconcile/interpreter/", "/kafila/core/values.py")


@contextmanager
def longest_step() -> Iterator[list[int]]:
    """The most calls of the federation's functions in one turn of the event loop. What simulated members do does not count."""
    longest, here = [0], 0

    def note(frame: Any, event: str, _: Any) -> None:
        nonlocal here
        if event != "call":
            return
        file = frame.f_code.co_filename
        if file.endswith("asyncio/events.py") and frame.f_code.co_name == "_run":
            here = 0
        elif "/kafila/simulation/" in file:
            here = -1_000_000
        elif any(part in file for part in OURS):
            here += 1
            longest[0] = max(longest[0], here)

    with noting(note):
        yield longest


def big(name: str = "web", image: str = "nginx:1") -> Object:
    found = Lab.deployment(name, replicas=0)
    found["spec"]["template"]["spec"]["containers"] = [{"name": f"c{i}", "image": image} for i in range(MANY)]
    return found


OVERRIDE: Object = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "OverridePolicy",
    "metadata": {"name": "registry", "namespace": "default"},
    "spec": {
        "resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}],
        "overrideRules": [
            {"overriders": {"imageOverrider": [{"component": "Registry", "operator": "replace", "value": "r.example"}]}}
        ],
    },
}


def image_in(lab: Lab, member: str) -> str:
    found = lab.in_member(member, "Deployment", "web")
    return found["spec"]["template"]["spec"]["containers"][-1]["image"] if found else ""


async def test_no_step_is_long_because_a_template_is(two: Lab) -> None:
    await two.create(OVERRIDE)
    await two.create(two.policy("policy", "m1", "m2"))
    with longest_step() as placed:
        await two.create(big())
        await two.until(lambda: {image_in(two, "m1"), image_in(two, "m2")} == {"r.example/nginx:1"})
        await two.until(lambda: two.is_true(two.get("ResourceBinding", "web-deployment"), "FullyApplied"))
    assert 0 < placed[0] < AT_ONCE, placed

    def newer(obj: Object) -> None:
        obj["spec"] = big(image="nginx:2")["spec"]

    with longest_step() as changed:
        await two.change("Deployment", "web", newer)
        await two.until(lambda: {image_in(two, "m1"), image_in(two, "m2")} == {"r.example/nginx:2"})
        await two.rest()
    assert 0 < changed[0] < AT_ONCE, changed
    with longest_step() as again:
        two.resync_controllers()
        await two.rest()
    assert 0 < again[0] < AT_ONCE, again


async def test_what_changes_while_a_big_template_is_worked_on_is_not_lost(two: Lab) -> None:
    """Policy, template and overrides, each right after the other, while threads work on what was before."""
    await two.create(two.policy("policy", "m1"))
    await two.create(big())
    await two.change("PropagationPolicy", "policy", lambda obj: obj["spec"]["placement"].update(affinity("m1", "m2")))
    await two.create(OVERRIDE)
    for image in ("nginx:2", "nginx:3"):
        await two.change("Deployment", "web", lambda obj, image=image: obj.update(spec=big(image=image)["spec"]))
    await two.rest()
    assert two.in_clusters("Deployment", "web") == ["m1", "m2"]
    assert {image_in(two, "m1"), image_in(two, "m2")} == {"r.example/nginx:3"}
    await two.change("PropagationPolicy", "policy", lambda obj: obj["spec"]["placement"].update(affinity("m2")))
    await two.change("Deployment", "web", lambda obj: obj["metadata"]["labels"].update(a="b"))
    await two.rest()
    assert two.in_clusters("Deployment", "web") == ["m2"]
    await two.change("Deployment", "web", lambda obj: obj["metadata"]["labels"].update(a="c"))
    await two.delete("Deployment", "web")
    await two.rest()
    assert two.in_clusters("Deployment", "web") == []
    assert two.get("ResourceBinding", "web-deployment") == {}


def affinity(*names: str) -> Object:
    return {"clusterAffinity": {"clusterNames": list(names)}}
