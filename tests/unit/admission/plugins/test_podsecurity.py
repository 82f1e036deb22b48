"""PodSecurity: what namespaces ask for, and what pods violate. The messages are compared with kube-apiserver's in tests/differential."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kafila.admission.plugins.podsecurity.evaluate import violations
from kafila.admission.plugins.podsecurity.standards import LATEST, PREFIX, Policy, Standard, policy_of
from kafila.catalog.version import LIBRARIES_VERSION
from kafila.core.values import Object

MODULE = f"k8s.io/pod-security-admission@{LIBRARIES_VERSION}"


def labels(**given: str) -> dict[str, str]:
    return {PREFIX + name.replace("_", "-"): value for name, value in given.items()}


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({}, Policy()),
        (labels(enforce="baseline"), Policy(Standard("baseline"), Standard(), Standard("baseline"))),
        (
            labels(enforce="restricted", enforce_version="v1.30", warn_version="v1.20"),
            Policy(Standard("restricted", 30), Standard(), Standard("restricted", 20)),
        ),
        (
            labels(enforce="baseline", warn="restricted", audit="restricted"),
            Policy(Standard("baseline"), Standard("restricted"), Standard("restricted")),
        ),
        (labels(enforce="restricted", warn="privileged"), Policy(Standard("restricted"), Standard(), Standard())),
        (labels(enforce="sure"), Policy(Standard("restricted"), Standard(), Standard())),
        (labels(audit="sure", warn="sure", warn_version="v1.007"), Policy()),
    ],
)
def test_labels_are_a_policy(given: dict[str, str], policy: Policy) -> None:
    assert policy_of(given)[0] == policy


def test_wrong_labels_are_named() -> None:
    _, found = policy_of(labels(enforce="sure", warn_version="1.30"))
    assert [str(error) for error in found] == [
        f'metadata.labels[{PREFIX}enforce]: Invalid value: "sure": must be one of privileged, baseline, restricted',
        f'metadata.labels[{PREFIX}warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"',
    ]


BOOL = st.sampled_from([None, True, False])
CONTEXT = st.fixed_dictionaries(
    {},
    optional={
        "privileged": BOOL,
        "allowPrivilegeEscalation": BOOL,
        "runAsNonRoot": BOOL,
        "runAsUser": st.sampled_from([0, 1]),
        "capabilities": st.fixed_dictionaries(
            {},
            optional={
                "add": st.lists(st.sampled_from(["CHOWN", "NET_BIND_SERVICE", "SYS_ADMIN"]), max_size=2),
                "drop": st.sampled_from([[], ["ALL"], ["CHOWN"]]),
            },
        ),
        "seccompProfile": st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
        "appArmorProfile": st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
        "procMount": st.sampled_from(["Default", "Unmasked"]),
        "seLinuxOptions": st.sampled_from([{"type": "container_t"}, {"type": "spc_t"}, {"user": "u"}]),
        "windowsOptions": st.sampled_from([{"hostProcess": True}, {}]),
    },
)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abc")}, optional={"securityContext": CONTEXT}), max_size=3
)
SPECS = st.fixed_dictionaries(
    {"containers": CONTAINERS},
    optional={
        "initContainers": CONTAINERS,
        "securityContext": CONTEXT,
        "hostNetwork": BOOL,
        "hostUsers": BOOL,
        "os": st.sampled_from([{"name": "linux"}, {"name": "windows"}]),
        "volumes": st.lists(
            st.sampled_from([{"name": "h", "hostPath": {}}, {"name": "e", "emptyDir": {}}]), max_size=2
        ),
    },
)


@given(SPECS, st.integers(0, 40))
def test_who_keeps_to_restricted_keeps_to_baseline(spec: Object, version: int) -> None:
    """But for Windows since 1.25, where restricted asks nothing of seccomp and stands in for baseline's question."""
    before = orjson.dumps(spec)
    if not violations(Standard("restricted", version), {}, spec) and spec.get("os") != {"name": "windows"}:
        assert not violations(Standard("baseline", version), {}, spec)
    assert not violations(Standard("privileged", version), {}, spec)
    assert violations(Standard("restricted", 1000), {}, spec) == violations(Standard("restricted", LATEST), {}, spec)
    assert orjson.dumps(spec) == before


def published() -> Path:
    """Kubernetes' own pods that keep to a standard and that do not, from its Go module."""
    if shutil.which("go") is None:
        pytest.skip("the pods are read from a Go module")
    told = subprocess.run(["go", "mod", "download", "-json", MODULE], check=True, capture_output=True, cwd="/").stdout
    return Path(orjson.loads(told)["Dir"]) / "test" / "testdata"


@pytest.mark.long
@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_pods_that_kubernetes_publishes(level: str) -> None:
    wrong: list[str] = []
    files = sorted(published().glob(f"{level}/v1.*/*/*.yaml"))
    for file in files:
        pod: dict[str, Any] = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        for volume in pod["spec"].get("volumes") or ():
            if volume.keys() == {"name"}:
                volume["emptyDir"] = {}  # the API server's default
        standard = Standard(level, int(file.parts[-3].removeprefix("v1.")))
        if bool(violations(standard, pod["metadata"], pod["spec"])) != (file.parts[-2] == "fail"):
            wrong.append("/".join(file.parts[-4:]))
    assert len(files) > 1000
    assert wrong == []
