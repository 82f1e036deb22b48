"""Whatever decodes must be answered: stored, or refused with a Status, but never with an exception of another kind."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafila.admission.karmada import admit, mutate
from kafila.catalog.karmada.kinds import kinds
from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.feature_gates import parse_gates
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.machinery.schema import Schema
from kafila.registry import SYSTEM_ADMIN

GATES = parse_gates("AllAlpha=true,AllBeta=true")
KINDS = {f"{kind.kind}-{kind.version}": kind for kind in kinds()}
WORDS = ["", "a", "cpu", "default", "In", "Divided", "Weighted", "cluster", "*", "/a", "Pods", "https://a.b", "1Gi"]


def values(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    match schema.kind:
        case "struct":
            if depth > 9:
                return st.just({})
            fields = {n: values(child, depth + 1) for n, child in schema.fields.items()}
            needed = {n: fields.pop(n) for n in sorted(schema.required)}
            # mostly complete objects, or validation would stop nearly all of them
            return st.one_of(
                st.fixed_dictionaries(needed, optional=fields), st.fixed_dictionaries({}, optional={**needed, **fields})
            )
        case "list":
            assert schema.items is not None
            return st.lists(st.one_of(values(schema.items, depth + 1)), max_size=2)
        case "map":
            assert schema.items is not None
            return st.dictionaries(st.sampled_from(WORDS), values(schema.items, depth + 1), max_size=2)
        case "string":
            return st.sampled_from([*(schema.enum or ()), *WORDS])
        case "integer":
            return st.integers(-1, 40)
        case "boolean":
            return st.booleans()
        case "quantity" | "int-or-string":
            return st.sampled_from(["1", "500m", "2Gi", "-1", "x", 3])
        case "time" | "micro-time":
            return st.just("2026-11-23T05:00:00Z")
        case "bytes":
            return st.just("YQ==")
    return st.sampled_from([None, {}, {"kind": "Deployment", "metadata": {"name": "a"}}, 1])


def objects(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    labels = st.dictionaries(
        st.sampled_from(["propagationpolicy.karmada.io/permanent-id", "a"]), st.sampled_from(["x", "y"]), max_size=2
    )
    metadata = st.fixed_dictionaries({"name": st.just("x"), "namespace": st.just("ns")}, optional={"labels": labels})
    own = {n: values(s) for n, s in kind.schema.fields.items() if n not in ("apiVersion", "kind", "metadata")}
    return st.fixed_dictionaries({"metadata": metadata}, optional=own)


def answer(kind: Kind, operation: str, new: dict[str, Any], old: dict[str, Any] | None) -> dict[str, Any] | None:
    """The object as it would be stored, None when it is refused."""
    if old is None and kind.strategy.status:  # nobody brings a status along
        new = {name: value for name, value in new.items() if name != "status"}
    try:
        new, _ = compile_decoder(kind.schema)(new)
    except DecodeError:
        return None
    kind.strategy.default(new)
    try:
        mutate(kind, operation, new, old, None, GATES)
    except StatusError:
        return None
    if old is None:
        kind.strategy.prepare_for_create(new)
    else:
        kind.strategy.prepare_for_update(new, old)
    if kind.strategy.validate(new):
        return None
    try:
        admit(kind, operation, new, old, SYSTEM_ADMIN, GATES)
    except StatusError:
        return None
    return new


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_object_is_answered(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    stored = answer(kind, "CREATE", data.draw(objects(kind)), None)
    if stored is None:
        return
    again, _ = compile_decoder(kind.schema)(stored)
    assert again == stored, "decoding changes nothing in what is stored"
    changed = answer(kind, "UPDATE", data.draw(objects(kind)), copy.deepcopy(stored))
    same = answer(kind, "UPDATE", stored, copy.deepcopy(stored))
    assert same == stored, "writing an object back changes nothing"
    assert changed is None or changed["metadata"]["name"] == "x"


def test_an_empty_value_is_left_out_and_defaulted_again() -> None:
    binding = {"metadata": {"name": "x"}, "spec": {"resource": {}, "conflictResolution": ""}}
    stored = answer(KINDS["ClusterResourceBinding-v1alpha2"], "CREATE", binding, None)
    assert stored is not None
    assert stored["spec"]["conflictResolution"] == "Abort"


def test_a_quantity_is_one_before_rules_look_at_it() -> None:
    kind = KINDS["FederatedHPA-v1alpha1"]
    metric = {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": ""}}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2, "metrics": [metric]}
    (found,) = kind.strategy.validate({"metadata": {"name": "x"}, "spec": spec})
    assert str(found).startswith('spec.metrics[0].pods.target.averageValue: Invalid value: "": ')
