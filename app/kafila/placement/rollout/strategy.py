"""What a rollout strategy asks for, read once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from kafila.cel.gotext import parse_duration
from kafila.placement.types import ResourceBindingSpec, StagedRollout

STAGED: Final = "Staged"
PAUSE: Final = "Pause"
CONTINUE: Final = "Continue"
ROLLBACK: Final = "Rollback"
TIMEOUT: Final = "30m"
_SECOND: Final = 1_000_000_000  # nanoseconds


class Gate(NamedTuple):
    """What a cluster has to show. ``conditions``: (type, status) of the object's; ``seconds``: how long without a break."""

    is_healthy: bool = True
    conditions: tuple[tuple[str, str], ...] = ()
    seconds: float = 0


class Strategy(NamedTuple):
    gate: Gate = Gate()
    timeout: float = 1800  # seconds for each cluster
    action: str = PAUSE
    at_once: int | None = None  # clusters of a stage under way at a time; None: all of a stage, one of those in none
    at_once_in: Mapping[str, int] = MappingProxyType({})  # the same, of the stages that say so themselves

    def concurrency(self, stage: str) -> int | None:
        """Clusters of a stage under way at a time, None for all. ``stage``: "" for those in none."""
        return self.at_once_in.get(stage, self.at_once) if stage else self.at_once or 1


def staged_rollout(spec: ResourceBindingSpec) -> StagedRollout | None:
    """None: a new revision goes everywhere at once."""
    wanted = spec.get("rolloutStrategy")
    if not wanted or wanted.get("type") != STAGED:
        return None
    return wanted.get("staged") or {}


def strategy_of(wanted: StagedRollout) -> Strategy:
    gate, stages = wanted.get("gate") or {}, wanted.get("stages") or ()
    conditions = tuple(
        (each["type"], str(each.get("status") or "True")) for each in gate.get("requiredConditions") or ()
    )
    return Strategy(
        Gate(gate.get("requireHealthy") is not False, conditions, seconds_of(gate.get("minSuccessTime") or "0s")),
        seconds_of(wanted.get("timeout") or TIMEOUT),
        str((wanted.get("onFailure") or {}).get("action") or PAUSE),
        wanted.get("maxConcurrency"),
        {stage["name"]: most for stage in stages if (most := stage.get("maxConcurrency"))},
    )


def seconds_of(duration: str) -> float:
    """A duration as Go writes it; 0 for what is none, which has been refused."""
    return (parse_duration(duration) or 0) / _SECOND
