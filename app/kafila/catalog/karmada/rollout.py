"""A staged rollout in a binding: what people ask of it, and how far it is. The policy's part stands in `policy`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .model import Int64, Model, Time

MOST_STAGES = 100
_REVISION = r"^[0-9a-f]*$"


class RolloutControl(Model):
    """What people ask of the rollout of one object."""

    paused: bool | None = Field(None, description="True lets no further cluster have the new revision.")
    revision: str | None = Field(
        None, max_length=63, pattern=_REVISION, description="The revision that approvedStages and undo are about."
    )
    approved_stages: list[str] | None = Field(None, max_length=MOST_STAGES, description="Stages that may begin.")
    undo: bool | None = Field(None, description="True gives all clusters the stable revision back.")
    resume_triggered_at: Time | None = Field(
        None, description="When clusters under way and those that failed were given their time anew."
    )


class RolloutClusterStatus(Model):
    name: str = Field(description="Name of the cluster.")
    stage: str | None = Field(None, description="Stage that it belongs to.")
    require_approval: bool | None = Field(None, description="Whether its stage waits for an approval.")
    phase: Literal["Pending", "Progressing", "Succeeded", "Failed", "Skipped", "RolledBack"] = Field(
        description="How far it is."
    )
    revision: str | None = Field(None, max_length=63, pattern=_REVISION, description="The revision it is to have.")
    started_at: Time | None = Field(None, description="When its time began.")
    gate_satisfied_since: Time | None = Field(None, description="Since when it shows what it has to.")
    completed_at: Time | None = Field(None, description="When it had succeeded, or failed.")
    message: str | None = Field(None, max_length=1024, description="Explanation for people.")


class RolloutStatus(Model):
    observed_generation: Int64 | None = Field(None, description="Generation of the template.")
    revision: str = Field(max_length=63, pattern=_REVISION, description="The revision that is rolled out.")
    stable_revision: str | None = Field(
        None, max_length=63, pattern=_REVISION, description="The last one that had been rolled out everywhere before."
    )
    phase: Literal["Progressing", "Paused", "WaitingForApproval", "Failed", "Succeeded", "RolledBack"] = Field(
        description="State of the rollout."
    )
    started_at: Time | None = Field(None, description="When it began.")
    completed_at: Time | None = Field(None, description="When it ended.")
    held_since: Time | None = Field(
        None, description="Since when a cluster that had succeeded keeps the next one back."
    )
    resume_triggered_at: Time | None = Field(None, description="The last resumption that was acted on.")
    message: str | None = Field(None, max_length=1024, description="Explanation for people.")
    clusters: list[RolloutClusterStatus] | None = Field(None, description="The clusters at its start, in their order.")
