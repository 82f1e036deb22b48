"""What is a new revision of a template, and what is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kafila.core.values import Object, copy_json
from kafila.placement.rollout.revision import REVISION, kept_revision, marked, name_of, revision_of, template_in
from tests.unit.placement.objects import PP_ID, deployment

BINDING: Any = {"metadata": {"name": "nginx-deployment", "namespace": "default"}}


def changed(change: Callable[[Object], object]) -> Object:
    template = copy_json(deployment())
    change(template)
    return template


def annotated(key: str) -> Object:
    return changed(lambda obj: obj["metadata"].setdefault("annotations", {}).update({key: "x"}))


@pytest.mark.parametrize(
    ("template", "same"),
    [
        (changed(lambda obj: obj["spec"].update(replicas=9)), True),
        (changed(lambda obj: obj.update(status={"replicas": 2})), True),
        (changed(lambda obj: obj["metadata"].update(resourceVersion="9", generation=9, managedFields=[])), True),
        (changed(lambda obj: obj["metadata"]["labels"].update({PP_ID: "x"})), True),
        (annotated("propagationpolicy.karmada.io/name"), True),
        (annotated("kubectl.kubernetes.io/last-applied-configuration"), True),
        (annotated("deployment.kubernetes.io/revision"), True),
        (annotated("kubectl.kubernetes.io/restartedAt"), False),
        (changed(lambda obj: obj["metadata"]["labels"].update(more="x")), False),
        (changed(lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(image="nginx:2")), False),
        (changed(lambda obj: obj["spec"].update(paused=True)), False),
    ],
)
def test_what_is_the_same_revision(template: Object, same: bool) -> None:
    before = copy_json(template)
    assert (revision_of(template) == revision_of(deployment())) == same
    assert template == before


def test_it_is_said_in_what_members_get_and_shares_the_rest() -> None:
    template = deployment()
    found = marked(template, "b2")
    assert found["metadata"]["annotations"] == {REVISION: "b2"}
    assert found["spec"] is template["spec"]
    assert "annotations" not in template["metadata"]


def test_what_is_kept_is_only_taken_for_its_own_template() -> None:
    template = {**deployment(), "status": {"replicas": 2}}
    kept = kept_revision(BINDING, template, "b2")
    assert kept["metadata"]["name"] == "nginx-deployment-b2"
    assert "status" not in kept["template"]
    assert template_in(kept, template, "b2") == kept["template"]
    assert template_in(kept, template, "a1") is None
    assert template_in(kept, deployment("other"), "b2") is None
    assert template_in({"revision": "b2", "template": "text"}, template, "b2") is None
    assert template_in(None, template, "b2") is None
    again = changed(lambda obj: obj["metadata"].update(uid="another of that name"))
    assert template_in(kept, again, "b2") is None


def test_long_names_stay_lawful_and_differ() -> None:
    names = {name_of({"metadata": {"name": "n" * 252 + end}}, "0123456789abcdef") for end in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 253 for name in names)
