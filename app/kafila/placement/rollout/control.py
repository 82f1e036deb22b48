"""What people ask of a rollout: what is written into ``spec.rollout`` of a binding, and what is refused to them."""

from __future__ import annotations

from kafila.core.clock import rfc3339
from kafila.placement.types import Binding, RolloutControl, RolloutStatus

from .order import groups
from .phases import FAILED, PAUSED, PENDING, PROGRESSING, ROLLED_BACK, SUCCEEDED, WAITING


class NotPossible(Exception):
    """Nothing of the kind can be asked of it now; the text says why."""


def rollout_of(binding: Binding) -> RolloutStatus:
    """Raises NotPossible where there is none."""
    found = (binding.get("status") or {}).get("rollout")
    if found is None:
        raise NotPossible(
            "it has no rollout: its policy has no rolloutStrategy of the type Staged, or it is nowhere yet"
        )
    return found


def approved(binding: Binding) -> RolloutControl:
    """The stage that waits may begin, with this revision. Raises NotPossible."""
    rollout = rollout_of(binding)
    stage = waiting_stage(binding)
    if not stage:
        raise NotPossible(f"no stage of it waits for an approval: it is {rollout['phase']}")
    asked = _asked(binding)
    before = asked.get("approvedStages") or () if asked.get("revision") == rollout["revision"] else ()
    return {**asked, "revision": rollout["revision"], "undo": False, "approvedStages": [*before, stage]}


def paused(binding: Binding) -> RolloutControl:
    """Raises NotPossible."""
    phase = rollout_of(binding)["phase"]
    if phase not in (PROGRESSING, WAITING):
        raise NotPossible(f"there is nothing to pause: it is {phase}")
    return {**_asked(binding), "paused": True}


def resumed(binding: Binding, now: float) -> RolloutControl:
    """Goes on after a pause, a failure or a rollback; whoever is under way or failed gets the time anew. Raises NotPossible."""
    phase = rollout_of(binding)["phase"]
    asked = _asked(binding)
    if phase not in (PAUSED, FAILED, ROLLED_BACK) and not asked.get("paused"):
        raise NotPossible(f"there is nothing to resume: it is {phase}")
    return {**asked, "paused": False, "undo": False, "resumeTriggeredAt": rfc3339(now)}


def undone(binding: Binding) -> RolloutControl:
    """All clusters get the stable revision back. Raises NotPossible."""
    rollout = rollout_of(binding)
    if rollout["phase"] == ROLLED_BACK:
        raise NotPossible(f"it has been rolled back to {rollout.get('stableRevision')}")
    if not rollout.get("stableRevision"):
        raise NotPossible("no earlier revision had been everywhere: there is nothing to go back to")
    return {**_asked(binding), "revision": rollout["revision"], "undo": True, "paused": False, "approvedStages": []}


def carried_over(asked: RolloutControl) -> RolloutControl | None:
    """What holds for the next rollout, too: what was said of a revision is over with its rollout, also when that revision comes back."""
    return {"paused": True} if asked.get("paused") else None


def waiting_stage(binding: Binding) -> str:
    """The stage that waits for an approval, "" where none does."""
    rollout = rollout_of(binding)
    if rollout["phase"] != WAITING:
        return ""
    asked = _asked(binding)
    approved = asked.get("approvedStages") or () if asked.get("revision") == rollout["revision"] else ()
    for group in groups(rollout.get("clusters") or ()):
        stage = group[0].get("stage", "")
        if stage not in approved and any(row["phase"] == PENDING and row.get("requireApproval") for row in group):
            return stage
    return ""


def summary(binding: Binding) -> str:
    """One sentence about a rollout. Raises NotPossible."""
    rollout = rollout_of(binding)
    rows = rollout.get("clusters") or ()
    said = rollout.get("message") or "it was there when the strategy came"
    done = sum(row["phase"] == SUCCEEDED for row in rows)
    return f"revision {rollout['revision']}: {rollout['phase']}, {done} of {len(rows)} clusters: {said}"


def _asked(binding: Binding) -> RolloutControl:
    return {**(binding["spec"].get("rollout") or {})}
