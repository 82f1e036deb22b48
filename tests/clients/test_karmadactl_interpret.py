"""``karmadactl interpret``, unmodified: its own Lua is the measure for ours."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kafila.core.values import Object
from kafila.machinery.lua import LuaError, Sandbox
from kafila.placement.interpreter import InterpretError, Operation
from kafila.placement.interpreter.kube import library
from kafila.placement.interpreter.scripts import CALLS, answer_of

FIELDS = {
    "interpretReplica": "replicaResource",
    "reviseReplica": "replicaRevision",
    "interpretHealth": "healthInterpretation",
    "interpretStatus": "statusReflection",
    "interpretDependency": "dependencyInterpretation",
    "retain": "retention",
}
OBSERVED: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default", "annotations": {"a.b/c:d": "x"}},
    "spec": {
        "replicas": 2,
        "selector": {},
        "paused": False,
        "template": {
            "spec": {
                "nodeSelector": {"disk": "fast"},
                "containers": [
                    {
                        "name": "c",
                        "image": "x",
                        "command": [],
                        "resources": {"requests": {"cpu": "100m", "memory": "1024Mi"}},
                        "envFrom": [{"configMapRef": {"name": "s"}}],
                    }
                ],
                "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "t"}}],
            }
        },
    },
    "status": {"observedGeneration": 1, "ready": 0.5},
}
DESIRED: Object = {**OBSERVED, "spec": {**OBSERVED["spec"], "replicas": 3, "strategy": {}}}

SAME = [
    ("interpretReplica", "local kube = require('kube')\nfunction GetReplicas(obj) return obj.spec.replicas, kube.accuratePodRequirements(obj.spec.template) end"),
    ("interpretReplica", "function GetReplicas(obj) return 3.9, {resourceRequest = {cpu = '1000m'}, nodeClaim = {nodeSelector = {a = 'b'}}} end"),
    ("interpretReplica", "local kube = require('kube')\nfunction GetReplicas(obj) return kube.getResourceQuantity('2500m'), {resourceRequest = {cpu = kube.resourceAdd('1', nil, '200m', '0')}} end"),
    ("interpretReplica", "function GetReplicas(obj) return math.floor(#obj.spec.template.spec.volumes * 1.6), nil end"),
    ("reviseReplica", "function ReviseReplica(obj, n) obj.spec.replicas = n obj.spec.added = {} obj.spec.list = {1, 2.5, 'x', true} return obj end"),
    ("reviseReplica", "function ReviseReplica(obj, n) obj.metadata.labels = {n = tostring(n), b = string.format('%05.1f', n / 3), u = ('ab'):upper():reverse()} return obj end"),
    ("reviseReplica", "function ReviseReplica(obj, n) table.insert(obj.spec.template.spec.volumes, {name = 'z', emptyDir = {}}) table.remove(obj.spec.template.spec.volumes, 1) return obj end"),
    ("interpretHealth", "function InterpretHealth(obj) return obj.status.observedGeneration >= 1 and obj.metadata.annotations['a.b/c:d'] ~= nil end"),
    ("interpretHealth", "function InterpretHealth(obj) local ok, e = pcall(function() error('x', 0) end) return not ok and e == 'x' and select('#', unpack({1, 2})) == 2 end"),
    ("interpretStatus", "function ReflectStatus(obj) local s = {} for k, v in pairs(obj.status) do s[k] = v end s.big = 2^40 s.none = {} return s end"),
    ("interpretStatus", "function ReflectStatus(obj) return {} end"),
    ("interpretStatus", "function ReflectStatus(obj) local s = {} for w in ('a b c'):gmatch('%a') do s[#s + 1] = w:byte() end return {codes = s, found = {('a=1'):match('(%w)=(%w)')}} end"),
    ("interpretDependency", "local kube = require('kube')\nfunction GetDependencies(obj) return kube.getPodDependencies(obj.spec.template, obj.metadata.namespace) end"),
    ("interpretDependency", "function GetDependencies(obj) return {{apiVersion = 'v1', kind = 'Secret', namespace = 'n', labelSelector = {matchLabels = {a = 'b'}}}} end"),
    ("retain", "function Retain(desired, observed) desired.spec.replicas = observed.spec.replicas desired.status = observed.status return desired end"),
]  # fmt: skip
REFUSED = [
    ("interpretReplica", "function GetReplicas(obj) return 'three' end"),
    ("interpretReplica", "function GetReplicas(obj) return 1, 2 end"),
    ("interpretHealth", "function InterpretHealth(obj) return 1 end"),
    ("interpretHealth", "function InterpretHealth(obj) return setmetatable({}, {}) end"),
    ("interpretHealth", "function InterpretHealth(obj) return io.open('x') ~= nil end"),
    ("interpretHealth", "function InterpretHealth(obj) return ('a'):rep(2) == 'aa' end"),
    ("interpretHealth", "function InterpretHealth(obj) return ('a'):gsub('a', 'b') == 'b' end"),
    ("interpretHealth", "function Health(obj) return true end"),
    ("interpretStatus", "function ReflectStatus(obj) return {1, nil, 3} end"),
    ("interpretStatus", "function ReflectStatus(obj) return {1, a = 2} end"),
    ("interpretStatus", "function ReflectStatus(obj) return {a = obj, b = obj} end"),
    ("interpretStatus", "function ReflectStatus(obj) return nil end"),
    ("interpretDependency", "function GetDependencies(obj) return 'none' end"),
    ("reviseReplica", "function ReviseReplica(obj, n) return nil end"),
]


def customization(operation: str, script: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "config.karmada.io/v1alpha1",
            "kind": "ResourceInterpreterCustomization",
            "metadata": {"name": "web"},
            "spec": {
                "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "customizations": {FIELDS[operation]: {"luaScript": script}},
            },
        }
    )


@pytest.fixture(scope="session")
def karmadactl(programs: Path) -> Path:
    program = programs / "karmadactl"
    if not program.exists():
        pytest.skip("there is no karmadactl: run tests/clusters/build.sh")
    return program


def theirs(karmadactl: Path, folder: Path, operation: str, script: str) -> list[Any] | None:
    """What Karmada makes of it, None when it refuses."""
    for name, text in (
        ("customization.yaml", customization(operation, script)),
        ("observed.json", json.dumps(OBSERVED)),
        ("desired.json", json.dumps(DESIRED)),
    ):
        (folder / name).write_text(text)
    command = [str(karmadactl), "interpret", "-f", str(folder / "customization.yaml"), "--operation", operation]
    command += ["--observed-file", str(folder / "observed.json")]
    if operation == "retain":
        command += ["--desired-file", str(folder / "desired.json")]
    if operation == "reviseReplica":
        command += ["--desired-replica", "5"]
    environment = {**os.environ, "KUBECONFIG": str(folder / "none"), "HOME": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if " error: " in done.stdout + done.stderr or done.returncode:
        return None
    return list(yaml.safe_load_all(done.stdout))


def ours(operation: str, script: str) -> list[Any] | None:
    asked = Operation(operation[0].upper() + operation[1:])
    arguments: list[Any] = [DESIRED, OBSERVED] if operation == "retain" else [OBSERVED]
    if operation == "reviseReplica":
        arguments.append(5)
    call = CALLS[asked]
    try:
        results = Sandbox(script, {"kube": library()}).call(call.function, *arguments, returns=call.returns)
        answer = answer_of(asked, arguments, [tuple(each) for each in results])
    except (InterpretError, LuaError):
        return None
    return list(answer) if asked is Operation.REPLICA else [answer]


@pytest.mark.parametrize(("operation", "script"), SAME)
def test_the_same_result(karmadactl: Path, tmp_path: Path, operation: str, script: str) -> None:
    expected = theirs(karmadactl, tmp_path, operation, script)
    assert expected is not None
    assert ours(operation, script) == expected


def test_the_same_is_refused(karmadactl: Path, tmp_path: Path) -> None:
    for operation, script in REFUSED:
        assert theirs(karmadactl, tmp_path, operation, script) is None, script
        assert ours(operation, script) is None, script


def test_what_was_edited_and_checked_can_be_applied(karmadactl: Path, served: Any, tmp_path: Path) -> None:
    file, editor = tmp_path / "customization.yaml", tmp_path / "editor"
    file.write_text(customization("interpretHealth", "function InterpretHealth(obj) return true end"))
    editor.write_text("#!/bin/sh\nsed -i 's/return true/return false/' \"$1\"\n")
    editor.chmod(0o755)
    environment = {**served.environment, "HOME": str(tmp_path), "EDITOR": str(editor)}
    for what in ("--edit", "--check"):
        command = [str(karmadactl), "interpret", "-f", str(file), what]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    kubectl = [str(karmadactl.with_name("kubectl")), "apply", "-f", str(file), "-o", "yaml"]
    applied = subprocess.run(kubectl, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    script = yaml.safe_load(applied)["spec"]["customizations"]["healthInterpretation"]["luaScript"]
    assert "return false" in script
