"""Karmada's scripts for third-party kinds with their test data, and what they and we answer to the same question.

Scripts and data are read from Karmada's module, which tests/clusters/build.sh copies into its cache; nothing of them is here.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from kafila.core import quantity
from kafila.core.values import Object
from kafila.machinery.lua import LuaError, Sandbox
from kafila.placement.interpreter import NATIVE, InterpretError, Operation
from kafila.placement.interpreter.answers import sorted_dependencies
from kafila.placement.interpreter.kube import library
from kafila.placement.interpreter.scripts import CALLS, answer_of
from kafila.placement.interpreter.sources import RULES
from kafila.placement.interpreter.thirdparty.calls import answering
from kafila.placement.interpreter.thirdparty.table import THIRD_PARTY

ROWS: Final = [(kind, operation) for operation in Operation for kind in answering(THIRD_PARTY, operation)]
REFUSED: Final = "refused"
# Where we answer and Karmada's script fails, which nobody can want:
KINDER: Final[Mapping[tuple[str, Operation], str]] = {
    ("source.toolkit.fluxcd.io/v1beta2/OCIRepository", Operation.DEPENDENCY): "no service account is named",
    ("sparkoperator.k8s.io/v1beta2/SparkApplication", Operation.COMPONENT): "memory in bytes",
    ("apps.kruise.io/v1alpha1/SidecarSet", Operation.AGGREGATE_STATUS): "it is in no cluster",
}
# Karmada gives scripts no list, or an empty one, for what is in no cluster. These say what that means when there is no list:
NOWHERE: Final = frozenset(
    kind
    for kind in THIRD_PARTY
    if ".fluxcd.io/" in kind
    or kind.endswith(("/CloneSet", "/StatefulSet", "/UnitedDeployment", ".io/v1alpha1/DaemonSet"))
)
_TIMES: Final = frozenset({"lastProbeTime", "lastTransitionTime"})


class Case(NamedTuple):
    name: str
    operation: Operation
    arguments: tuple[Any, ...]
    output: Object


@cache
def _documents(folder: Path, kind: str) -> tuple[Object, ...]:
    found = [
        document
        for file in sorted((folder / kind / "testdata").glob("*.yaml"))
        for document in yaml.load_all(file.read_text(), _Loader)
    ]
    return tuple(document for document in found if document)


class _Loader(yaml.CSafeLoader):
    """JSON has no times."""


_Loader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def cases(folder: Path, kind: str, operation: Operation) -> Iterator[Case]:
    for document in _documents(folder, kind):
        if document["operation"] == operation:
            yield Case(document["name"], operation, _arguments(document), document.get("output") or {})


def questions(folder: Path, kind: str, operation: Operation) -> list[tuple[Any, ...]]:
    """The arguments of its cases, or, where it has none, such as the objects of other cases make."""
    found = [case.arguments for case in cases(folder, kind, operation)]
    if found:
        return found
    others = [case.arguments[0] for each in Operation for case in cases(folder, kind, each)]
    return [(each, each) if operation is Operation.RETAIN else (each,) for each in others]


def _arguments(document: Object) -> tuple[Any, ...]:
    desired, observed = document.get("desiredObj"), document.get("observedObj")
    operation = Operation(document["operation"])
    if operation is Operation.RETAIN:
        return desired, observed
    if operation is Operation.AGGREGATE_STATUS:
        return desired, document.get("statusItems")
    obj = observed if observed is not None else desired
    return (obj, document.get("inputReplicas") or 0) if operation is Operation.REVISE_REPLICA else (obj,)


@cache
def _sandbox(folder: Path, kind: str, operation: Operation) -> Sandbox:
    rules = yaml.safe_load((folder / kind / "customizations.yaml").read_text())["spec"]["customizations"]
    return Sandbox(rules[RULES[operation]]["luaScript"], {"kube": library()})


def has_script(folder: Path, kind: str, operation: Operation) -> bool:
    rules = yaml.safe_load((folder / kind / "customizations.yaml").read_text())["spec"]["customizations"]
    return RULES[operation] in rules


def theirs(folder: Path, kind: str, operation: Operation, arguments: tuple[Any, ...]) -> Any:
    """What the script answers, as a user's would; ``REFUSED`` when it fails."""
    passed = list(copy.deepcopy(arguments))
    if operation is Operation.AGGREGATE_STATUS:
        passed[1] = passed[1] or (None if kind in NOWHERE else passed[1])
    call = CALLS[operation]
    try:
        results = _sandbox(folder, kind, operation).call(call.function, *passed, returns=call.returns, seconds=30)
        if operation is Operation.DEPENDENCY and results[0].type == "nil":
            return []  # Karmada's own scripts fail where pods refer to nothing
        answer = answer_of(operation, arguments, [tuple(each) for each in results])
    except (InterpretError, LuaError):
        return REFUSED
    if operation is Operation.AGGREGATE_STATUS:
        status = answer.get("status")
        return status if status is None or isinstance(status, dict) else REFUSED
    return sorted_dependencies([answer]) if operation is Operation.DEPENDENCY else answer


def ours(operation: Operation, arguments: tuple[Any, ...]) -> Any:
    ask = {
        Operation.REPLICA: NATIVE.get_replicas,
        Operation.COMPONENT: NATIVE.get_components,
        Operation.REVISE_REPLICA: NATIVE.revise_replica,
        Operation.RETAIN: NATIVE.retain,
        Operation.AGGREGATE_STATUS: NATIVE.aggregate_status,
        Operation.REFLECT_STATUS: NATIVE.reflect_status,
        Operation.HEALTH: NATIVE.interpret_health,
        Operation.DEPENDENCY: NATIVE.get_dependencies,
    }[operation]
    try:
        answer: Any = ask(*copy.deepcopy(arguments))  # type: ignore[operator]
    except InterpretError:
        return REFUSED
    return answer.get("status") if operation is Operation.AGGREGATE_STATUS else answer


def of_karmadactl(program: Path, customization: Path, folder: Path, case: Case) -> list[Any]:
    """What ``karmadactl interpret`` prints, a document for each result. It cannot be asked to aggregate."""
    command = [
        str(program),
        "interpret",
        "-f",
        str(customization),
        "--operation",
        case.operation[:1].lower() + case.operation[1:],
    ]
    options = ("desired", "observed") if case.operation is Operation.RETAIN else ("observed",)
    for option, obj in zip(options, case.arguments, strict=False):
        (folder / f"{option}.json").write_text(json.dumps(obj))
        command += [f"--{option}-file", str(folder / f"{option}.json")]
    if case.operation is Operation.REVISE_REPLICA:
        command += ["--desired-replica", str(case.arguments[1])]
    environment = {"HOME": str(folder), "KUBECONFIG": str(folder / "none")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert " error: " not in done.stdout + done.stderr, done.stderr
    return list(yaml.load_all(done.stdout, _Loader))


def comparable(answer: Any, *, without_times: bool = False) -> Any:
    """Lists whose order scripts leave to chance are sorted, amounts are in one form."""
    if isinstance(answer, dict):
        found = {key: comparable(value, without_times=without_times) for key, value in answer.items()}
        if isinstance(found.get("tolerations"), list):  # Karmada's type leaves out what it does not know
            found["tolerations"] = [_toleration(each) for each in found["tolerations"]]
        if "resourceRequest" in found:
            request = found["resourceRequest"]
            found["resourceRequest"] = {key: quantity.of(amount).nano for key, amount in request.items()}
        return {key: value for key, value in found.items() if not (without_times and key in _TIMES)}
    if isinstance(answer, list | tuple):
        return sorted((comparable(each, without_times=without_times) for each in answer), key=_in_order)
    return answer


def _toleration(value: Any) -> Any:
    known = ("key", "operator", "value", "effect", "tolerationSeconds")
    return {k: v for k, v in value.items() if k in known} if isinstance(value, dict) else value


def _in_order(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
