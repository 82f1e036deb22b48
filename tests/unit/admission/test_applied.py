"""Configurations that are applied while they are read come to what the long way comes to: read, check, merge, decode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.admission.policies import mutation
from kafila.admission.policies.applied import FEW, applied
from kafila.admission.policies.mutation import MutationFailed
from kafila.catalog.catalog import load_catalog
from kafila.cel.admission import Made
from kafila.cel.values import Uint
from kafila.core.values import Object, copy_json
from kafila.machinery.decode import DecodeError, compile_decoder

DEPLOYMENT = load_catalog().by_kind("apps", "v1", "Deployment")
assert DEPLOYMENT is not None
SCHEMA = DEPLOYMENT.schema
POD: Object = {
    "nodeName": "n",
    "hostNetwork": True,
    "terminationGracePeriodSeconds": 30,
    "securityContext": {"runAsUser": 5},
    "containers": [
        {"name": "a", "image": "x", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}},
        {"name": "b", "image": "y"},
    ],
}
LIVE = compile_decoder(SCHEMA)(
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "labels": {"m": "n"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}},
    }
)[0]


def made(value: Any, path: str = "Object", wrong: str = "") -> Any:
    """Objects with the types that belong there, but at the path ``wrong``. Names with ``=`` before them are keys of a map."""
    if isinstance(value, dict):
        if any(name.startswith("=") for name in value):
            return {name[1:]: item for name, item in value.items()}
        fields = {name: made(item, f"{path}.{name}", wrong) for name, item in value.items()}
        return Made("Object.other" if path == wrong else path, fields)
    return [made(item, path, wrong) for item in value] if isinstance(value, list) else value


def come_to(config: Made, *, shortly: bool) -> Any:
    try:
        found = mutation._applied(SCHEMA, LIVE, config, decodes=shortly)
    except MutationFailed as error:
        return str(error)
    if found.decoded:
        return json.dumps(found.document), []
    try:
        document, unknown = compile_decoder(SCHEMA)(found.document)
    except DecodeError as error:
        return str(error)
    return json.dumps(document), unknown


def pod(**fields: Any) -> Object:
    return {"spec": {"template": {"spec": fields}}}


PLAIN = (
    {"metadata": {"labels": {"=m": "x"}}},
    {"metadata": {"labels": {"=new": "x", "=a": "y"}}},
    {"spec": {"replicas": 5, "paused": True}},
    {"spec": {"replicas": 0, "paused": False}},
    pod(nodeName="other", schedulerName="s", hostNetwork=False),
    pod(securityContext={"runAsUser": 7, "runAsNonRoot": True}),
    pod(containers=[{"name": "a", "image": ""}, {"name": "b", "imagePullPolicy": "Always", "tty": True}]),
    pod(containers=[{"name": "a", "resources": {}}, {"name": "b"}]),
)


@pytest.mark.parametrize("config", PLAIN)
def test_what_is_plain_takes_the_short_way(config: Object) -> None:
    before = copy_json(LIVE)
    found = applied(SCHEMA, LIVE, made(config))
    assert found is not None
    assert (json.dumps(found), []) == come_to(made(config), shortly=False)
    assert before == LIVE


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "Pod"},
        {"spec": {"nothing": 1}},
        {"spec": {"replicas": 2**40}},
        {"spec": {"replicas": True}},
        {"spec": {"replicas": Uint(3)}},
        {"spec": {"replicas": None}},
        {"spec": {"selector": {"matchLabels": {"=a": "b"}}}},
        pod(affinity={"nodeAffinity": {}}),
        {"metadata": {"labels": {"=x": 1}}},
        {"metadata": {"annotations": {"=x": "y"}}},
        {"metadata": {"creationTimestamp": "2027-01-01T00:00:00Z"}},
        pod(containers=[{"name": "b"}, {"name": "a"}]),
        pod(containers=[{"name": "a"}]),
        pod(containers=[{"name": "a"}, {"name": "a"}]),
        pod(containers=[{"name": "a", "args": ["x"]}, {"name": "b"}]),
        pod(containers=[{"name": "a", "ports": [{"containerPort": 80, "name": "p"}]}, {"name": "b"}]),
        {"metadata": {"labels": {f"={number}": "x" for number in range(FEW)}}},
    ],
)
def test_what_is_not_plain_takes_the_long_way(config: Object) -> None:
    assert applied(SCHEMA, LIVE, made(config)) is None
    assert come_to(made(config), shortly=True) == come_to(made(config), shortly=False)


def test_an_object_of_another_type_is_not_plain() -> None:
    for wrong in ("Object", "Object.spec", "Object.spec.template.spec.containers"):
        config = made(pod(containers=[{"name": "a"}, {"name": "b"}]), wrong=wrong)
        if wrong != "Object":
            assert applied(SCHEMA, LIVE, config) is None
        assert come_to(config, shortly=True) == come_to(config, shortly=False)


SCALAR = st.sampled_from([None, "", "x", 0, 1, 2**33, True, False, 1.5, Uint(1), b"b"])
CONTAINER = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "c"])},
    optional={
        "image": SCALAR,
        "tty": SCALAR,
        "workingDir": SCALAR,
        "resources": st.sampled_from([{}, {"limits": {"=cpu": "1000m"}}, {"limits": {"=memory": 1}}]),
        "env": st.just([{"name": "E", "value": "x"}]),
    },
)
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "nodeName": SCALAR,
        "hostNetwork": SCALAR,
        "terminationGracePeriodSeconds": SCALAR,
        "subdomain": SCALAR,
        "securityContext": st.fixed_dictionaries({}, optional={"runAsUser": SCALAR, "fsGroup": SCALAR}),
        "nodeSelector": st.just({"=a": "b"}),
        "containers": st.lists(CONTAINER, max_size=3),
        "unheard": SCALAR,
    },
)
LABELS = st.dictionaries(st.sampled_from(["=a", "=m", "=z"]), st.sampled_from(["x", "", 1]), min_size=1)
CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries({}, optional={"labels": LABELS, "annotations": LABELS, "name": SCALAR}),
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "replicas": SCALAR,
                "paused": SCALAR,
                "template": st.fixed_dictionaries({}, optional={"spec": SPEC}),
            },
        ),
    },
)


@given(CONFIG, st.sampled_from(["", "", "Object.spec", "Object.spec.template.spec.securityContext"]))
def test_both_ways_agree(config: Object, wrong: str) -> None:
    before = copy_json(LIVE)
    assert come_to(made(config, wrong=wrong), shortly=True) == come_to(made(config, wrong=wrong), shortly=False)
    assert before == LIVE
