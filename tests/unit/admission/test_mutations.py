"""MutatingAdmissionPolicies: what one makes of an object. Whole requests are compared with kube-apiserver in tests/differential."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from kafila.admission.policies import mutation
from kafila.admission.policies.evaluation import EXHAUSTED, TooLong
from kafila.admission.policies.mutation import MutationFailed, mutated
from kafila.admission.policies.policy import Policy, policy_of
from kafila.admission.reinvocation import Reinvocation
from kafila.catalog.catalog import load_catalog
from kafila.core.values import Object, copy_json

DEPLOYMENT = load_catalog().by_kind("apps", "v1", "Deployment")
CONFIGMAP = load_catalog().by_kind("", "v1", "ConfigMap")
SPEC = "Object.spec.template.spec"


def policy(expression: str, *, applies: bool, **spec: Any) -> Policy:
    patch = {"expression": expression}
    given: Object = {"patchType": "JSONPatch", "jsonPatch": patch}
    if applies:
        given = {"patchType": "ApplyConfiguration", "applyConfiguration": patch}
    return policy_of({"metadata": {"name": "p"}, "spec": {"mutations": [given], **spec}}, [])


def run(expression: str, live: Object, *, applies: bool, most: int | None = None, **spec: Any) -> Object:
    kind = DEPLOYMENT if live.get("kind") == "Deployment" else CONFIGMAP
    assert kind is not None
    of = policy(expression, applies=applies, **spec)
    return mutated(of, of.mutations[0], {"object": live, "oldObject": None}, live, kind.schema, most).document


def deployment(**pod: Any) -> Object:
    spec = {"replicas": 1, "template": {"spec": {"containers": [{"name": "c", "image": "x"}], **pod}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


def configmap(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}


def pod(fields: str) -> str:
    return f"Object{{spec: Object.spec{{template: Object.spec.template{{spec: {SPEC}{{{fields}}}}}}}}}"


@pytest.mark.parametrize(
    ("fields", "containers"),
    [
        (f"containers: [{SPEC}.containers{{name: 'c', image: 'y'}}]", [{"name": "c", "image": "y"}]),
        (
            f"containers: [{SPEC}.containers{{name: 'd'}}]",
            [{"name": "c", "image": "x"}, {"name": "d"}],
        ),
        (
            f"containers: [{SPEC}.containers{{name: 'd'}}, {SPEC}.containers{{name: 'c'}}]",
            [{"name": "d"}, {"name": "c", "image": "x"}],
        ),
        ("?containers: optional.none(), ?nodeName: optional.of('n')", [{"name": "c", "image": "x"}]),
    ],
)
def test_configurations_are_merged_by_the_schema(fields: str, containers: list[Object]) -> None:
    live = deployment()
    before = copy_json(live)
    assert run(pod(fields), live, applies=True)["spec"]["template"]["spec"]["containers"] == containers
    assert live == before


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (
            pod(
                f"containers: [{SPEC}.containers{{name: 'c', args: ['1'], command: ['2']}}], nodeSelector: {{'a': 'b'}}"
            ),
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
            ".spec.template.spec.containers[0].args, .spec.template.spec.containers[0].command, "
            ".spec.template.spec.nodeSelector",
        ),
        (
            "Object{spec: Object.spec{selector: Object.spec.selector{}}}",
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector",
        ),
        (
            "Object{spec: Object.spec{nothing: 1}}",
            "failed to convert patch object to typed object: .spec.nothing: field not declared in schema",
        ),
        (
            "Object{spec: Object.spec{replicas: null}}",
            "failed to convert patch object to typed object: .spec.replicas: expected numeric (int or float), got "
            "structpb.NullValue",
        ),
    ],
)
def test_what_cannot_be_applied(expression: str, text: str) -> None:
    with pytest.raises(MutationFailed) as found:
        run(expression, deployment(), applies=True)
    assert str(found.value) == f"error applying patch: {text}"


def test_types_are_named_as_their_fields() -> None:
    with pytest.raises(MutationFailed) as found:
        run("Object{spec: Object.wrong{replicas: 1}}", deployment(), applies=True)
    where = "which matches field name path from root Object type"
    assert str(found.value) == f'type mismatch: unexpected type name "Object.wrong", expected "Object.spec", {where}'


def test_no_configuration_makes_another_kind_of_it() -> None:
    found = run(
        "Object{apiVersion: 'v2', kind: 'Pod', metadata: Object.metadata{name: 'x'}}", configmap(), applies=True
    )
    assert (found["apiVersion"], found["kind"]) == ("v1", "ConfigMap")


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("1", 1),
        ("2.0", 2),
        ("2.5", 2.5),
        ("null", None),
        ("9007199254740993", "9007199254740993"),
        ("uint(3)", 3),
        ("b'abc'", "YWJj"),
        ("duration('90s')", "90s"),
        ("timestamp('2020-01-02T03:04:05Z')", "2020-01-02T03:04:05Z"),
        ("{'a': [Object.x{b: 1}, Object.x{c: [true]}]}", {"a": [{"b": 1}, {"c": [True]}]}),
        ("object.data", {"k": "v"}),
        ("[1] + [2]", [1, 2]),
        ("['b', 'a'].sort().map(x, x + x)", ["aa", "bb"]),
    ],
)
def test_values_of_patches(value: str, data: Any) -> None:
    found = run(f"[JSONPatch{{op: 'add', path: '/data', value: {value}}}]", configmap(k="v"), applies=False)
    assert found["data"] == data
    assert type(found["data"]) is type(data)


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ("JSONPatch{op: 'remove', path: '/data/x'}", "error in remove for path: '/data/x'"),
        ("JSONPatch{op: 'put', path: '/data/x'}", "Unexpected kind: put"),
        ("JSONPatch{path: '/data/x'}", "Unexpected kind: "),
        ("JSONPatch{op: 'add', path: '/a/b/c', value: 1}", "add operation does not apply: doc is missing path"),
        ("JSONPatch{op: 'replace', path: '/metadata', value: 1}", "what it leaves is no object"),
    ],
)
def test_patches_that_do_not_apply(operations: str, text: str) -> None:
    with pytest.raises(MutationFailed) as found:
        run(f"[{operations}]", configmap(k="v"), applies=False)
    assert str(found.value).startswith(f"JSON Patch: {text}")


@pytest.mark.parametrize(
    ("value", "text"), [("0.0 / 0.0", "NaN"), ("1.0 / 0.0", "+Inf"), ("[{'a': -1.0 / 0.0}]", "-Inf")]
)
def test_numbers_that_json_does_not_have(value: str, text: str) -> None:
    for expression, applies in (
        (f"[JSONPatch{{op: 'add', path: '/data', value: {value}}}]", False),
        (f"Object{{data: {value}}}", True),
    ):
        with pytest.raises(MutationFailed) as found:
            run(expression, configmap(), applies=applies)
        refused = "the expression evaluated to a type that could not marshal to JSON"
        assert str(found.value) == f"{refused}: invalid {text} value"


def test_a_test_that_says_no_leaves_the_object_as_it_is() -> None:
    live = configmap(k="v")
    operations = "JSONPatch{op: 'add', path: '/data/x', value: 'y'}, JSONPatch{op: 'test', path: '/data/k', value: 'w'}"
    assert run(f"[{operations}]", live, applies=False) is live


def test_what_is_named_again_and_again_is_not_made_as_often() -> None:
    """Each variable costs as much as ten steps and is ten times as large as the one before."""
    variables = [{"name": "v0", "expression": "'x'"}]
    for number in range(1, 30):
        ten = ", ".join([f"variables.v{number - 1}"] * 10)
        variables.append({"name": f"v{number}", "expression": f"[{ten}]"})
    for last, text in ((7, "has more than 200000 values"), (29, "has more than 200000 values")):
        expression = f"[JSONPatch{{op: 'add', path: '/data/x', value: variables.v{last}}}]"
        with pytest.raises(MutationFailed, match=text):
            run(expression, configmap(), applies=False, variables=variables)


def test_what_is_nested_too_deeply_is_not_made() -> None:
    variables = [{"name": "v0", "expression": "'x'"}]
    variables += [{"name": f"v{n}", "expression": f"[variables.v{n - 1}]"} for n in range(1, 130)]
    with pytest.raises(MutationFailed, match="nested too deeply"):
        run(
            "[JSONPatch{op: 'add', path: '/a', value: variables.v129}]", configmap(), applies=False, variables=variables
        )


def test_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    costly = "string(object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != ''))))"
    expression = f"Object{{metadata: Object.metadata{{labels: {{'x': {costly}}}}}}}"
    live = configmap(**{f"k{n}": "v" for n in range(120)})
    with pytest.raises(TooLong):
        run(expression, live, applies=True, most=5_000)
    with pytest.raises(MutationFailed) as found:
        run(expression, live, applies=True)
    assert (
        str(found.value)
        == f"expression '{expression}' resulted in error: operation cancelled: actual cost limit exceeded"
    )
    monkeypatch.setattr(mutation, "BUDGET", 1_500_000)
    variables = [{"name": f"v{n}", "expression": costly} for n in range(2)]
    both = "variables.v0 == '' || variables.v1 == '' ? Object{} : Object{}"
    with pytest.raises(MutationFailed) as found:
        run(both, live, applies=True, variables=variables)
    assert (str(found.value), found.value.kind) == (EXHAUSTED, "out_of_budget")


@generated(
    st.dictionaries(st.text("abc/~", min_size=1, max_size=3), st.text("xy", max_size=2), max_size=4),
    st.text("abc/~", min_size=1, max_size=3),
    st.text("xy", max_size=2),
)
def test_both_ways_to_set_a_label_agree(labels: dict[str, str], name: str, value: str) -> None:
    live = {**configmap(), "metadata": {"name": "m", "labels": labels}}
    applied = run(f"Object{{metadata: Object.metadata{{labels: {{'{name}': '{value}'}}}}}}", live, applies=True)
    path = f"'/metadata/labels/' + jsonpatch.escapeKey('{name}')"
    patched = run(f"[JSONPatch{{op: 'add', path: {path}, value: '{value}'}}]", live, applies=False)
    assert applied == patched
    assert applied["metadata"]["labels"] == {**labels, name: value}
    assert (
        run(f"Object{{metadata: Object.metadata{{labels: {{'{name}': '{value}'}}}}}}", applied, applies=True) == applied
    )


def test_who_is_asked_again() -> None:
    of = Reinvocation()
    of.invoked("a")
    of.changed()
    of.invoked("b")
    of.end({"x": 1})
    assert of.again == {"a"}
    of.begin({"x": 1})
    assert of.again == {"a"}
    of.begin({"x": 2})
    assert of.again == {"a", "b"}
