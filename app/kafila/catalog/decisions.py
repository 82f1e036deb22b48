"""placement.kafila.io/v1alpha1: ours, not Karmada's. What the scheduler saw and did, for ``kafila why``."""

from __future__ import annotations

from pydantic import Field

from .karmada.kinds import Row, custom_kind
from .karmada.model import Int32, Int64, Model, Time
from .karmada.schemas import Builder
from .kind import Kind
from .tables import schema_of


class LostPolicy(Model):
    policy: str = Field(description="The policy as namespace/name, or its name when it is cluster-wide.")
    reason: str = Field(description="Why it does not place the resource.")


class WinningPolicy(Model):
    kind: str = Field(description="PropagationPolicy or ClusterPropagationPolicy.")
    namespace: str | None = Field(None, description="Namespace of the policy.")
    name: str = Field(description="Name of the policy.")
    lost: list[LostPolicy] | None = Field(None, description="Other policies that could have placed the resource.")


class ConsideredCluster(Model):
    """A cluster that passed every filter."""

    name: str = Field(description="Name of the cluster.")
    score: Int32 = Field(description="How much it is preferred: 100 where the resource already is.")
    available: Int32 | None = Field(
        None, description="Replicas that it could take besides those it has, when that was known."
    )
    overflow: Int32 | None = Field(None, description="Which of the overflow affinities it is from, 0 for none.")
    replicas: Int32 | None = Field(None, description="Replicas that it got.")
    chosen: bool | None = Field(None, description="Whether the resource goes there.")
    note: str | None = Field(None, description="Why it does not.")


class RejectedClusters(Model):
    """Clusters that one filter left out for one reason."""

    filter: str = Field(description="Name of the filter, as Karmada's plugins are named.")
    reason: str = Field(description="Karmada's text of the reason.")
    count: Int32 = Field(description="Number of the clusters.")
    clusters: list[str] = Field(description="Their names; at most the first hundred.")


class SchedulingAttempt(Model):
    """A try with one affinity group."""

    affinity: str | None = Field(None, description="Name of the affinity group.")
    failure: str | None = Field(None, description="Why it failed.")
    clusters: list[ConsideredCluster] | None = Field(None, description="Clusters that could take it, best first.")
    more_clusters: Int32 | None = Field(None, description="Clusters that are not listed.")
    rejected: list[RejectedClusters] | None = Field(None, description="Clusters that could not.")


class Scheduling(Model):
    """The latest decision."""

    time: Time = Field(description="When it was made.")
    trigger: str = Field(description="What made it necessary.")
    binding_generation: Int64 = Field(description="Generation of the binding that it was made about.")
    result: str = Field(description="Reason of the Scheduled condition.")
    message: str = Field(description="Message of the Scheduled condition.")
    placed: str | None = Field(None, description="The clusters, with replicas.")
    weighted_by: list[str] | None = Field(None, description="The ClusterScores that were weights.")
    not_used: list[str] | None = Field(
        None, description="ClusterScores that were to be weights, and why they were not."
    )
    attempts: list[SchedulingAttempt] = Field(description="The affinity groups that were tried, in order.")


class EarlierDecision(Model):
    time: Time = Field(description="When it was made.")
    trigger: str = Field(description="What made it necessary.")
    result: str = Field(description="Reason of the Scheduled condition.")
    placed: str | None = Field(None, description="The clusters, with replicas.")


class Decision(Model):
    """Why a ResourceBinding of the same name is scheduled as it is."""

    policy: WinningPolicy | None = Field(None, description="The policy that places the resource.")
    scheduling: Scheduling = Field(description="The latest decision.")
    history: list[EarlierDecision] | None = Field(None, description="The decisions before it, newest first.")


class ClusterDecision(Decision):
    """Why a ClusterResourceBinding of the same name is scheduled as it is."""


_COLUMNS = (
    ("RESULT", "string", ".scheduling.result"),
    ("TRIGGER", "string", ".scheduling.trigger"),
    ("PLACED", "string", ".scheduling.placed"),
    ("DECIDED", "date", ".scheduling.time"),
)


def kinds() -> list[Kind]:
    rows = (
        Row("placement.kafila.io", "Decision", "decisions", Decision, categories=(), status=False, columns=_COLUMNS),
        Row(
            "placement.kafila.io",
            "ClusterDecision",
            "clusterdecisions",
            ClusterDecision,
            namespaced=False,
            categories=(),
            status=False,
            columns=_COLUMNS,
        ),
    )
    build = Builder(schema_of)
    return [custom_kind(row, build) for row in rows]
