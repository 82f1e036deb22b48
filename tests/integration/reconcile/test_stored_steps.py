"""One pass and stored steps give the same objects (docs/adr/0003).

The reconciler decides binding, clusters, Works and sums in a row and stores binding and Works together. Here the same scenario also runs with
every object stored by itself, by a process that is stopped after a few writes, whatever it was about to do, and started anew.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, final

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from kafila.core import errors
from kafila.core.values import Object
from kafila.reconcile.karmada.member.cluster_status import ClusterStatus
from kafila.registry import Registry, prepare
from kafila.registry.context import Change
from kafila.store.interface import LeaseLost
from tests.differential.karmada.normal import Names, normal

from .conftest import GATES, Lab

MEMBERS = {"m1": "8", "m2": "16", "m3": "32"}  # with so many cpus
OURS = ("Deployment", "ConfigMap", "PropagationPolicy", "ClusterPropagationPolicy", "OverridePolicy")
MADE = ("ResourceBinding", "Work")
BINDINGS = ("resourcebindings.work.karmada.io", "clusterresourcebindings.work.karmada.io")
TEMPLATES = ("web", "db")


class Step(NamedTuple):
    """What a user does: ``create`` an object, ``change`` it by a merge, ``delete`` it."""

    verb: str
    kind: str
    name: str
    body: Object


# -- scenarios ---------------------------------------------------------------------------------------------------------

WEIGHTED = {"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted"}
strategies = st.one_of(
    st.none(),
    st.just({"replicaSchedulingType": "Duplicated"}),
    st.just({**WEIGHTED, "weightPreference": {"dynamicWeight": "AvailableReplicas"}}),
    st.just({"replicaSchedulingType": "Divided", "replicaDivisionPreference": "Aggregated"}),
    st.integers(1, 5).map(
        lambda weight: {
            **WEIGHTED,
            "weightPreference": {
                "staticWeightList": [
                    {"targetCluster": {"clusterNames": ["m1"]}, "weight": weight},
                    {"targetCluster": {"clusterNames": ["m2", "m3"]}, "weight": 2},
                ]
            },
        }
    ),
)
clusters = st.lists(st.sampled_from(list(MEMBERS)), min_size=1, unique=True).map(sorted)


@st.composite
def policies(draw: st.DrawFn) -> Object:
    placement: Object = {"clusterAffinity": {"clusterNames": draw(clusters)}}
    strategy = draw(strategies)
    if strategy is not None:
        placement["replicaScheduling"] = strategy
    if draw(st.booleans()):
        placement["spreadConstraints"] = [
            {"spreadByField": "cluster", "minGroups": 1, "maxGroups": draw(st.integers(1, 3))}
        ]
    spec: Object = {"placement": placement, "propagateDeps": draw(st.booleans())}
    if draw(st.integers(0, 3)) == 0:
        spec["suspension"] = {"dispatchingOnClusters": {"clusterNames": ["m2"]}}
    if draw(st.integers(0, 3)) == 0:
        spec["rolloutStrategy"] = {"type": "Staged", "staged": {}}
    if draw(st.integers(0, 3)) == 0:
        spec["conflictResolution"] = "Overwrite"
    return spec


def deployment(name: str, replicas: int, cpu: str) -> Object:
    made = Lab.deployment(name, replicas, cpu)
    made["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    return made


OVERRIDE: Object = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "OverridePolicy",
    "metadata": {"name": "tag", "namespace": "default"},
    "spec": {
        "overrideRules": [
            {
                "targetCluster": {"clusterNames": ["m2"]},
                "overriders": {"imageOverrider": [{"component": "Tag", "operator": "replace", "value": "2"}]},
            }
        ]
    },
}


@st.composite
def scenarios(draw: st.DrawFn) -> list[Step]:
    """The beginning, in any order, and a few changes of it."""
    begin = [Step("create", "ConfigMap", "settings", Lab.config())]
    for name in TEMPLATES:
        made = deployment(name, draw(st.integers(1, 12)), draw(st.sampled_from(["", "1"])))
        begin.append(Step("create", "Deployment", name, made))
        select = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name}]
        begin.append(Step("create", "PropagationPolicy", name, Lab.policy(name, select=select, **draw(policies()))))
    if draw(st.booleans()):
        begin.append(Step("create", "OverridePolicy", "tag", OVERRIDE))
    some = st.sampled_from(TEMPLATES)
    changes = st.one_of(
        st.builds(lambda n, r: Step("change", "Deployment", n, {"spec": {"replicas": r}}), some, st.integers(0, 20)),
        st.builds(lambda n, spec: Step("change", "PropagationPolicy", n, {"spec": spec}), some, policies()),
        st.builds(lambda n: Step("change", "ConfigMap", "settings", {"data": {"a": n}}), some),
        st.builds(lambda n: Step("change", "Deployment", n, {"metadata": {"labels": {"more": "x"}}}), some),
        st.builds(lambda n: Step("delete", "PropagationPolicy", n, {}), some),
        st.builds(lambda n: Step("delete", "Deployment", n, {}), some),
    )
    return [*draw(st.permutations(begin)), *draw(st.lists(changes, min_size=1, max_size=4))]


def _rich() -> list[Step]:
    """One that has a bit of everything."""
    select = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}]
    dynamic = {**WEIGHTED, "weightPreference": {"dynamicWeight": "AvailableReplicas"}}
    wide: Object = {
        "placement": {"replicaScheduling": dynamic},
        "propagateDeps": True,
        "rolloutStrategy": {"type": "Staged", "staged": {}},
    }
    narrow = {"placement": {"clusterAffinity": {"clusterNames": ["m2", "m3"]}}, "conflictResolution": "Overwrite"}
    return [
        Step("create", "Deployment", "web", deployment("web", 7, "1")),
        Step("create", "ConfigMap", "settings", Lab.config()),
        Step("create", "OverridePolicy", "tag", OVERRIDE),
        Step("create", "PropagationPolicy", "web", Lab.policy("web", select=select, **wide)),
        Step("change", "Deployment", "web", {"spec": {"replicas": 12}}),
        Step("change", "Deployment", "web", {"metadata": {"labels": {"more": "x"}}}),
        Step("change", "PropagationPolicy", "web", {"spec": narrow}),
        Step("delete", "Deployment", "web", {}),
    ]


RICH = _rich()


async def carry_out(lab: Lab, step: Step) -> None:
    if step.verb == "create":
        await lab.create(step.body)
    elif lab.get(step.kind, step.name):
        if step.verb == "delete":
            await lab.delete(step.kind, step.name)
        else:
            await lab.change(step.kind, step.name, lambda obj: merge(obj, step.body))


def merge(obj: Object, patch: Object) -> None:
    for field, value in patch.items():
        if isinstance(value, dict) and isinstance(obj.get(field), dict) and field != "placement":
            merge(obj[field], value)
        else:
            obj[field] = value


# -- two ways to carry them out ----------------------------------------------------------------------------------------


@final
class StepByStep:
    """As a fence: of each incarnation of the controllers only so many writes are let through."""

    def __init__(self, lab: Lab, budgets: Sequence[int]) -> None:
        self._lab = lab
        self._budgets = budgets
        self._left = 10**9
        self.incarnations = 0
        self._exhausted = asyncio.Event()

    def __call__(self) -> None:
        if not self._left:
            self._exhausted.set()
            raise LeaseLost("this process is no more")
        self._left -= 1

    async def settle(self) -> None:
        while True:
            self._left = self._budgets[self.incarnations % len(self._budgets)]
            self._exhausted.clear()
            resting = asyncio.create_task(self._lab.rest())
            stopped = asyncio.create_task(self._exhausted.wait())
            await asyncio.wait((resting, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                stopped.cancel()
                await resting
                return
            resting.cancel()
            self.incarnations += 1
            assert self.incarnations < 1000, self._lab.describe()
            await self._lab.controllers_stop()
            await self._lab.controllers.start()


async def one_at_a_time(
    commit_together: Callable[[Registry, Sequence[Change]], Awaitable[list[int]]],
    registry: Registry,
    changes: Sequence[Change],
) -> list[int]:
    """As Karmada's controllers store them: only the first, and the process does not come to the next."""
    real = [change for change in changes if not change.unchanged]
    revisions = await commit_together(registry, real[:1])
    if len(real) > 1:
        raise errors.internal_error("the process ends here")
    return [0 if change.unchanged else revisions[0] for change in changes]


async def nothing_new(status: ClusterStatus) -> None:
    """What the scheduler sees of the clusters must not hang on when it looked."""


def same_uid() -> str:
    """Of an object by its name: replicas that could go to either of two clusters go by the template's uid."""
    found = sys._getframe(1).f_locals
    metadata = found["metadata"]
    name = f"{found['kind'].resource} {metadata.get('namespace')} {metadata['name']}"
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


async def outcome(scenario: list[Step], budgets: Sequence[int]) -> dict[str, Object]:
    """What is stored at rest after each step, without ids, times and versions. Without ``budgets`` in one pass."""
    # what is assumed to be taken until it runs is remembered in memory only, as in Karmada: a new process sees more room
    lab = await Lab(feature_gates=f"{GATES},SchedulingOvercommitProtection=false").start()
    try:
        for name, cpu in MEMBERS.items():
            await lab.join(name, cpu=cpu)
        await lab.rest()
        steps = StepByStep(lab, budgets)
        lab.fence = steps
        stored: dict[str, Object] = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ClusterStatus, "_collect", nothing_new)
            await lab.look_away()  # also with a look that has begun
            if budgets:
                original = Registry.commit_together
                patch.setattr(Registry, "commit_together", lambda *given: one_at_a_time(original, *given))
            for number, step in enumerate(scenario):
                await carry_out(lab, step)
                await (steps.settle() if budgets else lab.rest())
                stored |= {f"{number} {step[:3]}: {where}": obj for where, obj in state(lab).items()}
        assert bool(budgets) == bool(steps.incarnations)
        assert all(one_owner(record.body) for record in lab.database.log if record.key.resource in BINDINGS)
        return stored
    finally:
        lab.fence = lambda: None
        await lab.close()


def one_owner(body: bytes | None) -> bool:
    """Of a binding as it was stored: no two templates, no two policies."""
    metadata = json.loads(body)["metadata"] if body else {}
    owners = [owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    policies = {*(metadata.get("labels") or {})} & {
        "propagationpolicy.karmada.io/permanent-id",
        "clusterpropagationpolicy.karmada.io/permanent-id",
    }
    return len(owners) <= 1 and len(policies) <= 1


def state(lab: Lab) -> dict[str, Object]:
    names, found = Names(), {}
    for place, registry in {"control plane": lab.registry, **{n: m.registry for n, m in lab.members.items()}}.items():
        for kind in (*OURS, *MADE) if place == "control plane" else OURS:
            for obj in lab.list(kind, registry):
                metadata = obj["metadata"]
                if metadata["name"] in ("kube-root-ca.crt", "extension-apiserver-authentication", "cluster-info"):
                    continue
                key = f"{kind}/{metadata.get('namespace', '')}/{metadata['name']}"
                names.learn(place, key, {**obj, "kind": kind})
                found[f"{place} {key}"] = obj
    return {where: normal(obj, names) for where, obj in found.items()}


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def budgets(least: int) -> st.SearchStrategy[list[int]]:
    """How many writes each process comes to, one after the other."""
    return st.lists(st.integers(least, 6), min_size=1, max_size=4)


@pytest.fixture(autouse=True)
def _same_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "new_uid", same_uid)


def same_at_rest(scenario: list[Step], budgets: list[int]) -> None:
    at_once = asyncio.run(outcome(scenario, ()))
    assert asyncio.run(outcome(scenario, budgets)) == at_once


@settings(max_examples=2, phases=[Phase.explicit, Phase.reuse, Phase.generate], suppress_health_check=SLOW)
@example(RICH, [1, 3, 2])
@given(scenarios(), budgets(3))
def test_one_pass_and_stored_steps_store_the_same(scenario: list[Step], budgets: list[int]) -> None:
    same_at_rest(scenario, budgets)


@pytest.mark.long
@settings(max_examples=60, phases=[Phase.reuse, Phase.generate], suppress_health_check=SLOW)
@given(scenarios(), budgets(1))
def test_they_do_so_in_many_scenarios(scenario: list[Step], budgets: list[int]) -> None:
    same_at_rest(scenario, budgets)
