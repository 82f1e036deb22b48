"""Karmada's feature gates (pkg/features of v1.18) and the ``--feature-gates`` flag (k8s.io/component-base/featuregate).

Whoever asks is handed the set of the gates that are on: ``FAILOVER in gates``.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Literal, NamedTuple

Stage = Literal["ALPHA", "BETA"]

CUSTOMIZED_CLUSTER_RESOURCE_MODELING: Final = "CustomizedClusterResourceModeling"
FAILOVER: Final = "Failover"
FEDERATED_QUOTA_ENFORCEMENT: Final = "FederatedQuotaEnforcement"
GRACEFUL_EVICTION: Final = "GracefulEviction"
MULTI_CLUSTER_SERVICE: Final = "MultiClusterService"
MULTIPLE_POD_TEMPLATES_SCHEDULING: Final = "MultiplePodTemplatesScheduling"
POLICY_PREEMPTION: Final = "PropagationPolicyPreemption"
PRIORITY_BASED_SCHEDULING: Final = "PriorityBasedScheduling"
PROPAGATE_DEPS: Final = "PropagateDeps"
RESOURCE_QUOTA_ESTIMATE: Final = "ResourceQuotaEstimate"
SCHEDULING_OVERCOMMIT_PROTECTION: Final = "SchedulingOvercommitProtection"
STATEFUL_FAILOVER_INJECTION: Final = "StatefulFailoverInjection"
WORKLOAD_AFFINITY: Final = "WorkloadAffinity"


class Gate(NamedTuple):
    default: bool
    stage: Stage


KNOWN: Final[dict[str, Gate]] = {
    FAILOVER: Gate(False, "BETA"),
    GRACEFUL_EVICTION: Gate(True, "BETA"),
    PROPAGATE_DEPS: Gate(True, "BETA"),
    CUSTOMIZED_CLUSTER_RESOURCE_MODELING: Gate(True, "BETA"),
    POLICY_PREEMPTION: Gate(False, "ALPHA"),
    MULTI_CLUSTER_SERVICE: Gate(False, "ALPHA"),
    RESOURCE_QUOTA_ESTIMATE: Gate(False, "ALPHA"),
    STATEFUL_FAILOVER_INJECTION: Gate(False, "ALPHA"),
    PRIORITY_BASED_SCHEDULING: Gate(True, "BETA"),
    FEDERATED_QUOTA_ENFORCEMENT: Gate(False, "ALPHA"),
    "LoggingAlphaOptions": Gate(False, "ALPHA"),
    "LoggingBetaOptions": Gate(True, "BETA"),
    "ContextualLogging": Gate(True, "BETA"),
    MULTIPLE_POD_TEMPLATES_SCHEDULING: Gate(False, "ALPHA"),
    "ControllerPriorityQueue": Gate(True, "BETA"),
    WORKLOAD_AFFINITY: Gate(False, "ALPHA"),
    SCHEDULING_OVERCOMMIT_PROTECTION: Gate(False, "ALPHA"),
}
_ALL: Final[dict[str, Stage]] = {"AllAlpha": "ALPHA", "AllBeta": "BETA"}
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})

Gates = Container[str]  # those that are on
DEFAULT_GATES: Final = frozenset(name for name, gate in KNOWN.items() if gate.default)


class GateError(ValueError):
    """The flag's value is not usable; the text is the one Karmada's components print."""


def parse_gates(flag: str) -> frozenset[str]:
    """The gates that are on with ``"Failover=true,AllAlpha=true"``. One that is named by itself wins over AllAlpha and
    AllBeta, wherever they stand.

    Raises GateError on unknown names, missing values and values that are no booleans.
    """
    wanted = dict(map(_parse_item, filter(None, flag.split(","))))
    for name in wanted:
        if name not in KNOWN and name not in _ALL:
            raise GateError(f"unrecognized feature gate: {name}")
    states = {name: gate.default for name, gate in KNOWN.items()}
    for name, stage in _ALL.items():
        if name in wanted:
            states |= {each: wanted[name] for each, gate in KNOWN.items() if gate.stage == stage}
    states |= {name: on for name, on in wanted.items() if name in KNOWN}
    return frozenset(name for name, on in states.items() if on)


def _parse_item(item: str) -> tuple[str, bool]:
    name, equals, text = (part.strip() for part in item.partition("="))
    if not equals:
        raise GateError(f"missing bool value for {name}")
    if text not in _TRUE and text not in _FALSE:
        raise GateError(f'invalid value of {name}={text}, err: strconv.ParseBool: parsing "{text}": invalid syntax')
    return name, text in _TRUE
