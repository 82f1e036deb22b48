"""What goes into an explanation and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.placement.objects import Object


@dataclass(frozen=True, slots=True)
class Evidence:
    """Stored objects, as the API gives them. None and empty: there is none."""

    kind: str
    namespace: str
    name: str
    template: Object | None = None
    policies: Sequence[Object] = ()  # of all namespaces
    cluster_policies: Sequence[Object] = ()
    overrides: Sequence[Object] = ()  # OverridePolicies of the namespace, ClusterOverridePolicies
    binding: Object | None = None
    decision: Object | None = None  # the decision record
    clusters: Sequence[Object] = ()
    works: Sequence[Object] = ()
    warnings: Sequence[str] = ()  # of recent events on template and binding, newest first
    followers: Sequence[
        Object
    ] = ()  # of a cluster-scoped object: its bindings in the namespaces of workloads that need it
    now: float = 0.0  # when this was read, Unix seconds

    @property
    def reference(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that is not as it could be, and what to do about it."""

    problem: str
    remedy: str


@dataclass(slots=True)
class ClusterRow:
    name: str
    state: str  # one word: Healthy, Applied, Waiting, Failed, Leaving, Rejected, Unused …
    replicas: int | None = None
    room: int | None = None
    score: int | None = None
    why: str = ""
    status: str = ""  # what the cluster reports, in short
    checks: list[tuple[str, str]] = field(default_factory=list)  # (filter, reason or ""), asked now


@dataclass(slots=True)
class Report:
    subject: str
    summary: str = ""
    policy: str = ""
    policy_why: str = ""
    lost: list[tuple[str, str]] = field(default_factory=list)  # (policy, reason)
    decided: str = ""
    division: str = ""
    history: list[str] = field(default_factory=list)
    clusters: list[ClusterRow] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    advice: list[Advice] = field(default_factory=list)

    def advise(self, problem: str, remedy: str) -> None:
        advice = Advice(problem, remedy)
        if advice not in self.advice:
            self.advice.append(advice)
