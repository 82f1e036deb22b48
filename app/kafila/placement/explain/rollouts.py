"""How far a staged rollout is: which clusters wait for their turn, and what it waits for."""

from __future__ import annotations

from kafila.placement.explain.report import ClusterRow, Evidence, Report
from kafila.placement.rollout.begin import revision_for
from kafila.placement.rollout.phases import FAILED, PAUSED, PENDING, PROGRESSING, ROLLED_BACK, WAITING
from kafila.placement.types import RolloutClusterStatus, RolloutStatus


def explain_rollout(evidence: Evidence, rows: dict[str, ClusterRow], report: Report) -> None:
    rollout = _rollout_of(evidence)
    if rollout is None:
        return
    for found in rollout.get("clusters") or ():
        if found["name"] in rows:
            _about_cluster(rollout, found, rows[found["name"]])
    subject = f"{evidence.kind.lower()}/{evidence.name}" + (f" -n {evidence.namespace}" if evidence.namespace else "")
    remedy = {
        WAITING: f"kafila rollout approve {subject}",
        PAUSED: f"kafila rollout resume {subject}",
        FAILED: f"Mend the template; or kafila rollout resume|undo {subject}",
        ROLLED_BACK: f"Mend the template; or kafila rollout resume {subject}",
        PROGRESSING: f"kafila rollout status {subject}",
    }.get(rollout["phase"])
    if remedy is not None:
        report.advise(f"The rollout of revision {rollout['revision']} is {rollout['phase']}: {_said(rollout)}.", remedy)


def is_waited_for(evidence: Evidence, cluster: str) -> bool:
    """Has a cluster no Work because its turn in the first rollout has not come?"""
    rollout = _rollout_of(evidence)
    return rollout is not None and not revision_for(rollout, cluster)


def _rollout_of(evidence: Evidence) -> RolloutStatus | None:
    return (evidence.binding.get("status") or {}).get("rollout") if evidence.binding is not None else None


def _about_cluster(rollout: RolloutStatus, found: RolloutClusterStatus, row: ClusterRow) -> None:
    if rollout["phase"] not in (WAITING, PAUSED, FAILED, PROGRESSING):
        return
    stage = f" (stage {found['stage']})" if found.get("stage") else ""
    text = ""
    if found["phase"] == PENDING:
        had = found.get("revision")
        text = f"its turn in the rollout has not come{stage}" + (f": it has revision {had}" if had else "")
    elif found["phase"] in (PROGRESSING, FAILED):
        text = f"rollout {found['phase']}{stage}: {found.get('message') or 'it has just got the revision'}"
    if text:
        row.why = "; ".join(filter(None, (row.why, text)))


def _said(rollout: RolloutStatus) -> str:
    return (rollout.get("message") or "").removesuffix(".")
