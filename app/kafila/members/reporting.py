"""How a member behaves, as conditions of its Cluster. Pure.

A Cluster must not be written for every answer of its member: figures are coarse, and what only changes its wording waits until
``EVERY`` seconds are over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kafila.core.clock import human_duration, rfc3339
from kafila.core.cluster_conditions import CLOCK, PERMITTED, RESPONSIVE, Figures, figures_of, responds, step
from kafila.core.conditions import condition, find, with_condition
from kafila.core.values import AnyObject, Object

from .conduct import Conduct

EVERY: Final = 60.0  # seconds
MUCH: Final = 10  # times
SLOW: Final = 1.0  # seconds that a probe takes
SKEWED: Final = 60.0  # seconds
LISTED: Final = 10  # permissions
REPORTED: Final = (RESPONSIVE, PERMITTED, CLOCK)  # of which events tell


def conditions(conduct: Conduct, waiting: int, now: float) -> dict[str, Object | None]:
    """What is to be said, None for nothing. ``now``: of the clock with which requests were recorded."""
    return {
        RESPONSIVE: responsive(conduct, waiting, now),
        PERMITTED: _permitted(conduct, now),
        CLOCK: _clock({"the member's clock": conduct.skew + conduct.ours, "its agent's clock": conduct.ours}),
    }


def responsive(conduct: Conduct, waiting: int, now: float) -> Object:
    figures = responds(Figures(step(conduct.took * 1000), step(waiting)))
    failures, last = conduct.failed(now)
    if throttled := conduct.throttled(now):
        how, reason = f"up to {step(throttled)} requests were throttled (429) in the last minute", "Throttled"
    elif failures:
        how, reason = f"up to {step(failures)} requests failed there in the last minute, the last: {last}", "Erring"
    elif conduct.took > SLOW:
        how, reason = "it answers slowly", "Slow"
    else:
        return condition(RESPONSIVE, "True", "Responding", figures)
    return condition(RESPONSIVE, "False", reason, f"{how}; {figures}")


def _permitted(conduct: Conduct, now: float) -> Object | None:
    found = [str(missing) for missing in conduct.missing(now)]
    if not found:
        return None
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    message = (
        f"our account may not {', '.join(found[:LISTED])}{more} there: join the cluster again, which gives what policies need, or"
        " extend its ClusterRole"
    )
    return condition(PERMITTED, "False", "Forbidden", message)


def _clock(ahead: Mapping[str, float]) -> Object | None:
    """``ahead``: seconds that each clock is ahead of the control plane's."""
    found = [
        f"{whose} is {human_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} ours"
        for whose, skew in ahead.items()
        if abs(skew) >= SKEWED
    ]
    if not found:
        return None
    message = f"{', '.join(found)}: tokens and certificates may count as expired there, or as not valid yet"
    return condition(CLOCK, "False", "ClockSkewed", message)


def with_conditions(status: Object, wanted: dict[str, Object | None], now: float, reword: bool) -> Object:
    """``now``: Unix seconds. ``reword`` False: what says the same in other words stays as it is."""
    present: Sequence[AnyObject] = status.get("conditions") or ()
    kept: list[Object] = [dict(c) for c in present if wanted.get(c["type"], c) is not None]
    for type, new in wanted.items():
        if new is None or (says_the_same(old := find(present, type), new) and not (reword and _is_news(old, new))):
            continue
        kept = with_condition(kept, {**new, "lastTransitionTime": rfc3339(now)})
    return status if kept == list(present) else {**status, "conditions": kept}


def says_the_same(old: AnyObject | None, new: AnyObject) -> bool:
    """But for figures; of permissions each counts."""
    if old is None or (old["status"], old["reason"]) != (new["status"], new["reason"]):
        return False
    return bool(new["type"] != PERMITTED or old["message"] == new["message"])


def _is_news(old: AnyObject | None, new: AnyObject) -> bool:
    """Not where it answers more quickly than what is said, which stays true, but much more quickly."""
    was, now = figures_of(old["message"]) if old else None, figures_of(new["message"])
    if was is None or now is None or new["status"] != "True" or was.waiting != now.waiting:
        return True
    return not now.milliseconds <= was.milliseconds < MUCH * now.milliseconds


def news(before: Sequence[AnyObject], after: Sequence[AnyObject]) -> list[AnyObject]:
    """What an event has to tell: what is wrong now and was not, or was in another way."""
    found = (find(after, type) for type in REPORTED)
    return [c for c in found if c and c["status"] == "False" and not says_the_same(find(before, c["type"]), c)]
