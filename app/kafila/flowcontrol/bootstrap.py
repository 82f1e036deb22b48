"""What every server has: the mandatory objects, which are always as here, and the suggested ones, which users may change.

Their values are kube-apiserver's (a differential test compares them).
"""

from __future__ import annotations

import copy
from typing import Any, Final

from kafila.catalog.builtin.validation.flowcontrol import (
    EXEMPT,
    MANDATORY_FLOW_SCHEMAS,
    MANDATORY_LEVELS,
    rule_for_everything,
)
from kafila.core.values import Object

from .objects import GROUP

API_VERSION: Final = f"{GROUP}/v1"
AUTO_UPDATE: Final = "apf.kubernetes.io/autoupdate-spec"
_ALL: Final = ["*"]
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _object(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "annotations": {AUTO_UPDATE: "true"}}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _level(name: str, shares: int, lendable: int, queues: int = 0, hand: int = 0) -> Object:
    response: Object = {"type": "Reject"}
    if queues:
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": 50}
        response = {"type": "Queue", "queuing": queuing}
    limited = {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}
    return _object("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited})


def _schema(name: str, level: str, precedence: int, distinguisher: str, *rules: Object) -> Object:
    spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
    if distinguisher:
        spec["distinguisherMethod"] = {"type": distinguisher}
    return _object("FlowSchema", name, {**spec, "rules": list(rules)})


def _resources(groups: list[str], resources: list[str], cluster: bool, verbs: list[str] = _ALL) -> Object:
    rule: Object = {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)}
    if cluster:
        rule["clusterScope"] = True
    return {**rule, "namespaces": ["*"]}


def _rule(subjects: list[Object], resources: list[Object] | None = None, paths: Object | None = None) -> Object:
    """Without more: about everything."""
    if resources is None and paths is None:
        return {**rule_for_everything(), "subjects": subjects}
    rule: Object = {"subjects": subjects}
    if resources:
        rule["resourceRules"] = resources
    if paths:
        rule["nonResourceRules"] = [paths]
    return rule


def _users(*names: str) -> list[Object]:
    return [{"kind": "User", "user": {"name": name}} for name in names]


def _groups(*names: str) -> list[Object]:
    return [{"kind": "Group", "group": {"name": name}} for name in names]


_EVERYBODY: Final = ("system:unauthenticated", "system:authenticated")
_OF_KUBE_SYSTEM: Final = {"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": "*"}}
_MANAGER, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
_LEASES: Final = ["coordination.k8s.io"], ["leases"], False

MANDATORY: Final = (
    *(_object("PriorityLevelConfiguration", name, spec) for name, spec in MANDATORY_LEVELS.items()),
    *(_object("FlowSchema", name, spec) for name, spec in MANDATORY_FLOW_SCHEMAS.items()),
)
SUGGESTED: Final = (
    _level("system", 30, 33, 64, 6),
    _level("node-high", 40, 25, 64, 6),
    _level("leader-election", 10, 0, 16, 4),
    _level("workload-high", 40, 50, 128, 6),
    _level("workload-low", 100, 90, 128, 6),
    _level("global-default", 20, 50, 128, 6),
    _schema("system-nodes", "system", 500, "ByUser", _rule(_groups("system:nodes"))),
    _schema(
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        _rule(_groups("system:nodes"), [_resources([""], ["nodes", "nodes/status"], True), _resources(*_LEASES)]),
    ),
    _schema(
        "probes",
        EXEMPT,
        2,
        "",
        _rule(_groups(*_EVERYBODY), paths={"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}),
    ),
    _schema(
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        _rule([*_users(_MANAGER, _SCHEDULER), _OF_KUBE_SYSTEM], [_resources(*_LEASES, ["get", "create", "update"])]),
    ),
    _schema("kube-controller-manager", "workload-high", 800, "ByNamespace", _rule(_users(_MANAGER))),
    _schema("kube-scheduler", "workload-high", 800, "ByNamespace", _rule(_users(_SCHEDULER))),
    _schema("kube-system-service-accounts", "workload-high", 900, "ByNamespace", _rule([_OF_KUBE_SYSTEM])),
    _schema("service-accounts", "workload-low", 9000, "ByUser", _rule(_groups("system:serviceaccounts"))),
    _schema("global-default", "global-default", 9900, "ByUser", _rule(_groups(*_EVERYBODY))),
)
_MANDATORY_NAMES: Final = frozenset((wanted["kind"], wanted["metadata"]["name"]) for wanted in MANDATORY)
WANTED: Final = {(wanted["kind"], wanted["metadata"]["name"]): wanted for wanted in (*SUGGESTED, *MANDATORY)}


def revised(existing: Object, wanted: Object) -> Object | None:
    """A bootstrap object as it has to be, None when it is. What a user has changed in a suggested one stays, and is marked so."""
    mandatory = (wanted["kind"], wanted["metadata"]["name"]) in _MANDATORY_NAMES
    said = _updates_itself(existing)
    updates = mandatory or (existing["metadata"].get("generation") == 1 if said is None else said)
    spec = _spec_of(existing, wanted) if updates else existing.get("spec")
    if said == updates and spec == existing.get("spec"):
        return None
    new = copy.deepcopy(existing)
    new["spec"] = copy.deepcopy(spec)
    if said != updates:
        new["metadata"].setdefault("annotations", {})[AUTO_UPDATE] = "true" if updates else "false"
    return new


def _spec_of(existing: Object, wanted: Object) -> Any:
    """The seats that exempt requests lend are a user's to say."""
    exempt = (existing.get("spec") or {}).get("exempt")
    if wanted["kind"] == "PriorityLevelConfiguration" and wanted["metadata"]["name"] == EXEMPT and exempt is not None:
        return {**wanted["spec"], "exempt": exempt}
    return wanted["spec"]


def is_left_over(kind: str, existing: Object) -> bool:
    """Whether an object was made by an earlier server, and nobody has changed it since."""
    return (kind, existing["metadata"]["name"]) not in WANTED and _updates_itself(existing) is True


def _updates_itself(existing: Object) -> bool | None:
    """What the annotation says; None: nothing that can be read."""
    return _BOOLEANS.get((existing["metadata"].get("annotations") or {}).get(AUTO_UPDATE, ""))
