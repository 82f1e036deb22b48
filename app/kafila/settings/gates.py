"""Karmada's feature gates and the ``--feature-gates`` flag (k8s.io/component-base/featuregate)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, final

Stage = Literal["ALPHA", "BETA"]


@dataclass(slots=True, frozen=True)
class Gate:
    default: bool
    stage: Stage


KNOWN: dict[str, Gate] = {
    "Failover": Gate(False, "BETA"),
    "GracefulEviction": Gate(True, "BETA"),
    "PropagateDeps": Gate(True, "BETA"),
    "CustomizedClusterResourceModeling": Gate(True, "BETA"),
    "PropagationPolicyPreemption": Gate(False, "ALPHA"),
    "MultiClusterService": Gate(False, "ALPHA"),
    "ResourceQuotaEstimate": Gate(False, "ALPHA"),
    "StatefulFailoverInjection": Gate(False, "ALPHA"),
    "PriorityBasedScheduling": Gate(True, "BETA"),
    "FederatedQuotaEnforcement": Gate(False, "ALPHA"),
    "LoggingAlphaOptions": Gate(False, "ALPHA"),
    "LoggingBetaOptions": Gate(True, "BETA"),
    "ContextualLogging": Gate(True, "BETA"),
    "MultiplePodTemplatesScheduling": Gate(False, "ALPHA"),
    "ControllerPriorityQueue": Gate(True, "BETA"),
    "WorkloadAffinity": Gate(False, "ALPHA"),
    "SchedulingOvercommitProtection": Gate(False, "ALPHA"),
}
_ALL: dict[str, Stage] = {"AllAlpha": "ALPHA", "AllBeta": "BETA"}
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class GateError(ValueError):
    """The flag's value is not usable; the text is the one Karmada's components print."""


@final
class Gates(Mapping[str, bool]):
    """Every gate's state. ``gates["Failover"]``; a name that does not exist raises KeyError."""

    def __init__(self, values: Mapping[str, bool] | None = None) -> None:
        self._values = {name: gate.default for name, gate in KNOWN.items()} | dict(values or {})

    def __getitem__(self, name: str) -> bool:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def parse_gates(flag: str) -> Gates:
    """``"Failover=true,AllAlpha=true"``. A gate named by itself wins over AllAlpha and AllBeta, wherever they stand.

    Raises GateError on unknown names, missing values and values that are no booleans.
    """
    wanted: dict[str, bool] = {}
    for item in flag.split(","):
        if not item:
            continue
        name, equals, text = item.partition("=")
        name, text = name.strip(), text.strip()
        if not equals:
            raise GateError(f"missing bool value for {name}")
        if text not in _TRUE and text not in _FALSE:
            raise GateError(f'invalid value of {name}={text}, err: strconv.ParseBool: parsing "{text}": invalid syntax')
        wanted[name] = text in _TRUE
    for name in wanted:
        if name not in KNOWN and name not in _ALL:
            raise GateError(f"unrecognized feature gate: {name}")
    values: dict[str, bool] = {}
    for name, stage in _ALL.items():
        if name in wanted:
            values |= {n: wanted[name] for n, gate in KNOWN.items() if gate.stage == stage}
    return Gates(values | {n: v for n, v in wanted.items() if n in KNOWN})


def help_lines() -> list[str]:
    """A line per gate, as ``--help`` shows them."""
    lines = [f"{name}=true|false ({stage} - default=false)" for name, stage in _ALL.items()]
    lines += [f"{n}=true|false ({g.stage} - default={str(g.default).lower()})" for n, g in sorted(KNOWN.items())]
    return sorted(lines)
