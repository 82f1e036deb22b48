"""The states of a rollout and of a cluster in it."""

from __future__ import annotations

from typing import Final, Literal

PENDING: Final = "Pending"  # of a cluster only, as Skipped is
SKIPPED: Final = "Skipped"
PROGRESSING: Final = "Progressing"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
ROLLED_BACK: Final = "RolledBack"
PAUSED: Final = "Paused"  # of a rollout only
WAITING: Final = "WaitingForApproval"

Phase = Literal["Progressing", "Paused", "WaitingForApproval", "Failed", "Succeeded", "RolledBack"]

EVENT_STARTED: Final = "RolloutStarted"
EVENT_SUPERSEDED: Final = "RolloutSuperseded"
EVENT_SUCCEEDED: Final = "RolloutSucceeded"
EVENT_PAUSED: Final = "RolloutPaused"
EVENT_RESUMED: Final = "RolloutResumed"
EVENT_HELD: Final = "RolloutHeld"
EVENT_WAITING: Final = "RolloutWaitingForApproval"
EVENT_FAILED: Final = "RolloutFailed"
EVENT_ROLLED_BACK: Final = "RolloutRolledBack"
EVENT_CLUSTER_PROGRESSING: Final = "RolloutClusterProgressing"
EVENT_CLUSTER_SUCCEEDED: Final = "RolloutClusterSucceeded"
EVENT_CLUSTER_FAILED: Final = "RolloutClusterFailed"
EVENT_CLUSTER_SKIPPED: Final = "RolloutClusterSkipped"
EVENT_NOT_KEPT: Final = "RolloutRevisionNotKept"
EVENTS: Final = frozenset(
    (
        EVENT_STARTED,
        EVENT_SUPERSEDED,
        EVENT_SUCCEEDED,
        EVENT_PAUSED,
        EVENT_RESUMED,
        EVENT_HELD,
        EVENT_WAITING,
        EVENT_FAILED,
        EVENT_ROLLED_BACK,
        EVENT_CLUSTER_PROGRESSING,
        EVENT_CLUSTER_SUCCEEDED,
        EVENT_CLUSTER_FAILED,
        EVENT_CLUSTER_SKIPPED,
    )
)
