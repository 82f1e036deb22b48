"""The beginning of a rollout: the clusters that are in it, in their order, each with the revision that it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import cast

from kafila.core.clock import rfc3339
from kafila.placement.types import RolloutClusterStatus, RolloutStatus

from .order import Place
from .phases import PENDING, PROGRESSING, ROLLED_BACK, SKIPPED, SUCCEEDED


def revisions_by_cluster(rollout: RolloutStatus) -> Callable[[str], str]:
    """The revision that a cluster is to have; "" while it waits for its first one.

    A cluster that came after the beginning, or came back, gets the stable revision until the rollout has ended; the one that is
    rolled out where there is none and that has succeeded somewhere.
    """
    if rollout["phase"] == SUCCEEDED:
        return lambda cluster: rollout["revision"]
    rows = rollout.get("clusters") or ()
    known = {row["name"]: row.get("revision", "") for row in rows if row["phase"] != SKIPPED}
    late = rollout.get("stableRevision", "")
    if not late and any(row["phase"] == SUCCEEDED for row in rows):
        late = rollout["revision"]
    return lambda cluster: known.get(cluster, late)


def revision_for(rollout: RolloutStatus, cluster: str) -> str:
    """Of one cluster, as `revisions_by_cluster`."""
    return revisions_by_cluster(rollout)(cluster)


def clusters_of(rollout: RolloutStatus | None) -> list[str]:
    """All that are to have the revision in the end, also those that nothing was brought to yet."""
    rows = rollout.get("clusters") or () if rollout is not None else ()
    return [row["name"] for row in rows if row["phase"] != SKIPPED]


def adopted(revision: str, generation: int, now: float) -> RolloutStatus:
    """What was brought there before anybody asked for a rollout stays as it is."""
    return _status(revision, "", generation, SUCCEEDED, [], now)


def begun(
    before: RolloutStatus | None,
    order: Sequence[Place],
    revision: str,
    generation: int,
    now: float,
    have: Collection[str] = (),
) -> RolloutStatus:
    """``before``: the rollout so far. Where there is none, clusters have nothing, the revision (``have``), or nobody knows what:
    that stays until their turn."""
    stable = _stable(before)
    had = revisions_by_cluster(before) if before is not None else lambda cluster: revision if cluster in have else ""
    rows = [_row(had(place.cluster), place, revision, now) for place in order]
    status = _status(revision, stable, generation, PROGRESSING, rows, now)
    if before is not None and before.get("resumeTriggeredAt"):
        status["resumeTriggeredAt"] = before["resumeTriggeredAt"]
    return status


def _stable(before: RolloutStatus | None) -> str:
    """The last revision that went through everywhere."""
    if before is None:
        return ""
    return before["revision"] if before["phase"] == SUCCEEDED else before.get("stableRevision", "")


def _row(had: str, place: Place, revision: str, now: float) -> RolloutClusterStatus:
    row: RolloutClusterStatus = {"name": place.cluster, "phase": PENDING}
    if place.stage:
        row["stage"] = place.stage
    if place.requires_approval:
        row["requireApproval"] = True
    if had:
        row["revision"] = had
    if had == revision:
        row.update({"phase": SUCCEEDED, "completedAt": rfc3339(now), "message": "it had this revision already"})
    return row


def _status(
    revision: str, stable: str, generation: int, phase: str, rows: list[RolloutClusterStatus], now: float
) -> RolloutStatus:
    status = {"observedGeneration": generation, "revision": revision, "stableRevision": stable, "phase": phase}
    status["clusters"] = rows
    status["startedAt" if phase == PROGRESSING else "completedAt"] = rfc3339(now)
    return cast(RolloutStatus, {key: value for key, value in status.items() if value not in (0, "", [])})


def is_under_way(rollout: RolloutStatus | None) -> bool:
    """Is there anything that time, or what members report, may change?"""
    return rollout is not None and rollout["phase"] not in (SUCCEEDED, ROLLED_BACK)
