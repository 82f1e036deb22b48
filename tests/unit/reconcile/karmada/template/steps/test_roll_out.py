from __future__ import annotations

from typing import Any, NoReturn
from unittest import mock

from kafila.core.values import Object, copy_json
from kafila.placement.interpreter import NATIVE, InterpretError
from kafila.placement.rollout.revision import REVISION, revision_of
from kafila.reconcile.karmada.template.steps.build_works import build_works
from kafila.reconcile.karmada.template.steps.facts import StoredRevision
from kafila.reconcile.karmada.template.steps.roll_out import roll_out
from kafila.reconcile.karmada.template.steps.state import State
from tests.unit.placement.objects import deployment

from .given import Given, entry_of, placed, state, stored_work

STAGED: Object = {"type": "Staged", "staged": {"timeout": "100s"}}


def image(name: str) -> Object:
    template = deployment()
    template["spec"]["template"]["spec"]["containers"][0]["image"] = name
    return template


def after(known: State, facts: Given) -> State:
    """Rolled out, built, and stored."""
    found = build_works(roll_out(known, facts), facts)
    works = {work.cluster: work for work in found.works} | {
        each.cluster: stored_work(each.work) for each in found.changed
    }
    if found.revision is not None:
        kept = found.revision
        facts.revisions[kept["revision"]] = StoredRevision(kept, entry_of(kept))
    return State(found.template, None, found.binding, found.binding, tuple(works.values()), found.shares)


def images(found: State) -> dict[str, str]:
    manifests = {work.cluster: work.obj["spec"]["workload"]["manifests"][0] for work in found.works}
    return {name: obj["spec"]["template"]["spec"]["containers"][0]["image"] for name, obj in manifests.items()}


def adopted(facts: Given) -> State:
    """One revision in both clusters, and a strategy."""
    works = build_works(state(binding=placed("m1", "m2")), facts).changed
    stored = tuple(stored_work(each.work) for each in works)
    return after(state(placed("m1", "m2", rolloutStrategy=STAGED), works=stored), facts)


def test_without_a_strategy_nothing_is_looked_at() -> None:
    known = state(placed("m1"))
    assert roll_out(known, None) is known  # type: ignore[arg-type]


def test_what_is_there_is_kept_as_the_first_revision() -> None:
    facts = Given()
    found = adopted(facts)
    rollout: Any = found.binding["status"]["rollout"]
    assert rollout["phase"] == "Succeeded"
    assert list(facts.revisions) == [rollout["revision"]] == [revision_of(deployment())]
    again = roll_out(found, facts)
    assert (again.binding, again.revision, again.given_up, again.wake) == (found.binding, None, (), None)


def test_a_change_that_comes_with_the_strategy_is_rolled_out() -> None:
    facts = Given()
    works = build_works(state(binding=placed("m1", "m2")), facts).changed
    stored = tuple(stored_work(each.work) for each in works)
    known = state(placed("m1", "m2", rolloutStrategy=STAGED), works=stored)._replace(template=image("nginx:2"))
    assert images(after(known, facts)) == {"m1": "nginx:2", "m2": "docker.io/library/nginx:1.2"}
    scaled = deployment()
    scaled["metadata"]["generation"] = 7
    scaled["spec"]["replicas"] = 9  # no other revision
    rollout: Any = after(known._replace(template=scaled), facts).binding["status"]["rollout"]
    assert rollout["phase"] == "Succeeded"


def test_clusters_whose_turn_has_not_come_have_the_revision_that_is_kept() -> None:
    facts = Given()
    found = after(adopted(facts)._replace(template=image("nginx:2")), facts)
    assert images(found) == {"m1": "nginx:2", "m2": "docker.io/library/nginx:1.2"}
    assert len(facts.revisions) == 2
    scaled = copy_json(found.binding)
    scaled["spec"]["clusters"][1]["replicas"] = 7
    found = after(found._replace(binding=scaled), facts)
    (waiting,) = (work.obj for work in found.works if work.cluster == "m2")
    manifest = waiting["spec"]["workload"]["manifests"][0]
    assert manifest["spec"]["replicas"] == 7
    assert manifest["metadata"]["annotations"][REVISION] == revision_of(deployment())


def test_a_revision_that_is_gone_stays_where_it_is() -> None:
    facts = Given()
    found = adopted(facts)
    facts.revisions.clear()
    held = roll_out(found._replace(template=image("nginx:2")), facts)
    assert held.waiting == {"m2"}
    assert images(after(found._replace(template=image("nginx:2")), facts))["m2"] == "docker.io/library/nginx:1.2"


def test_one_that_is_everywhere_is_kept_anew_while_the_template_is_at_hand() -> None:
    facts = Given()
    found = adopted(facts)
    facts.revisions.clear()
    after(found, facts)
    assert list(facts.revisions) == [revision_of(deployment())]
    held = after(found._replace(template=image("nginx:2")), facts)
    facts.revisions.clear()
    assert roll_out(held, facts).revision is None  # of the one before there is nothing left to keep


def test_what_was_asked_is_over_with_what_it_was_about() -> None:
    facts = Given()
    found = adopted(facts)
    first = found.binding["status"]["rollout"]["revision"]
    asked = copy_json(found.binding)
    asked["spec"]["rollout"] = {"revision": first, "undo": True, "paused": True, "approvedStages": ["x"]}
    newer = roll_out(found._replace(binding=asked, template=image("nginx:2")), facts)
    assert newer.binding["spec"]["rollout"] == {"paused": True}
    spec = {field: value for field, value in newer.binding["spec"].items() if field != "rolloutStrategy"}
    ended = roll_out(newer._replace(binding={**newer.binding, "spec": spec}), facts)  # type: ignore[typeddict-item]
    assert "rollout" not in ended.binding["spec"]


def test_without_the_strategy_every_cluster_has_the_template_and_nothing_is_kept() -> None:
    facts = Given()
    found = after(adopted(facts)._replace(template=image("nginx:2")), facts)
    spec = {field: value for field, value in found.binding["spec"].items() if field != "rolloutStrategy"}
    ended = roll_out(found._replace(binding={**found.binding, "spec": spec}), facts)  # type: ignore[typeddict-item]
    assert "rollout" not in ended.binding["status"]
    assert len(ended.given_up) == 2
    assert (ended.versions, ended.waiting) == ({}, frozenset())


def test_while_nobody_can_say_what_is_a_revision_nothing_moves() -> None:
    def fails(obj: object, replicas: int) -> NoReturn:
        raise InterpretError("no answer")

    facts = Given()
    found = adopted(facts)
    with mock.patch.object(NATIVE, "revise_replica", fails):
        held = build_works(roll_out(found._replace(template=image("nginx:2")), facts), facts)
    assert (held.changed, held.retry) == ((), "interpreter")
    assert held.binding is found.binding
    assert "no answer" in held.events[-1].message


def test_the_first_revision_is_nowhere_else_while_it_is_in_the_first_cluster() -> None:
    found = after(state(placed("m1", "m2", rolloutStrategy=STAGED)), Given())
    assert list(images(found)) == ["m1"]
