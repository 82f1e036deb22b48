"""What goes into an explanation and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kafila.core.values import Object
from kafila.placement.types import Binding, Cluster, OverridePolicy, PropagationPolicy, Work


@dataclass(frozen=True, slots=True)
class Reference:
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Warned:
    """A Warning event on the template or its binding, at its latest time."""

    time: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Stored objects, as the API gives them. None and empty: there is none."""

    kind: str
    namespace: str
    name: str
    template: Object | None = None
    policies: Sequence[PropagationPolicy] = ()  # of all namespaces
    cluster_policies: Sequence[PropagationPolicy] = ()
    overrides: Sequence[OverridePolicy] = ()  # OverridePolicies of the namespace, ClusterOverridePolicies
    binding: Binding | None = None
    decision: Object | None = None  # the decision record
    clusters: Sequence[Cluster] = ()
    works: Sequence[Work] = ()
    warnings: Sequence[Warned] = ()  # newest first
    attached: Sequence[
        Binding
    ] = ()  # of a cluster-scoped object: its bindings in the namespaces of workloads that need it
    now: float = 0.0  # when this was read, Unix seconds
    withheld: Sequence[
        str
    ] = ()  # resources that who asks may not read: of these nothing is known, whatever stands above

    autoscalers: Sequence[Object] = ()  # of the namespace, of all kinds
    home: Object | None = None  # the Namespace

    @property
    def reference(self) -> Reference:
        return Reference(self.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that is not as it could be, and what to do about it."""

    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class OtherPolicy:
    """One that could have placed the object, or an override policy; ``reason``: why not, or how it applies."""

    policy: Reference
    reason: str
    applies: bool = False


@dataclass(slots=True)
class ClusterRow:
    name: str
    state: str  # one word: Healthy, Applied, Waiting, Failed, Leaving, Rejected, Unused …
    replicas: int | None = None
    available: int | None = None
    score: int | None = None
    why: str = ""
    status: str = ""  # what the cluster reports, in short
    reported: Any = None  # the same in full
    checks: list[tuple[str, str]] = field(default_factory=list)  # (filter, reason or ""), asked now


@dataclass(slots=True)
class Report:
    """``asdict`` of it is what programs read. ``decision`` and ``history``: result, time, trigger, message and placed of attempts."""

    subject: Reference
    summary: str = ""
    policy: Reference | None = None
    policy_why: str = ""
    lost: list[OtherPolicy] = field(default_factory=list)
    more_lost: int = 0  # that are not in ``lost``
    overrides: list[OtherPolicy] = field(default_factory=list)
    decision: Object = field(default_factory=dict)
    decided: str = ""
    division: str = ""
    history: list[Object] = field(default_factory=list)
    clusters: list[ClusterRow] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    advice: list[Advice] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)  # resources that were not read for lack of rights

    def advise(self, problem: str, remedy: str) -> None:
        advice = Advice(problem, remedy)
        if advice not in self.advice:
            self.advice.append(advice)
