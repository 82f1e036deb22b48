"""An edit of a live policy that takes copies out of clusters says so: what was a slip of the pen deletes everything else.

Karmada's outcome stays: the clusters are left. It is the answer to the edit, also of a dry run, that warns of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from kafila.core.values import AnyObject, Object
from kafila.placement import constants
from kafila.placement.cluster_expression import AT_ONCE, expression_of
from kafila.placement.objects import name
from kafila.placement.spec import target_names
from kafila.placement.types import Cluster, Placement
from kafila.placement.withdrawal import affinities, fitting

from .context import AdmissionContext, Claimed

NAMED: Final = 10  # clusters in one warning
_IDS: Final = (constants.PP_PERMANENT_ID, constants.CPP_PERMANENT_ID)


def withdrawals(new: Object, old: Object, around: AdmissionContext) -> list[str]:
    """Warnings for a change of a policy's placement."""
    placement = cast(Placement, new["spec"].get("placement") or {})
    before = cast(Placement, old["spec"].get("placement") or {})
    expression = expression_of(new)
    is_same = affinities(placement) == affinities(before) and expression == expression_of(old)
    if is_same or new["spec"].get("activationPreference") == constants.LAZY:
        return []
    clusters = {name(cluster): cluster for cluster in around.clusters()}
    found = []
    unknown = sorted(_named(placement) - _named(before) - clusters.keys())
    if unknown:
        listed = ", ".join(f'"{each}"' for each in unknown[:NAMED])
        found.append(f"spec.placement: no cluster is named {listed}{_and_more(unknown)}")
    evaluated = expression if len(clusters) <= AT_ONCE else ""  # the controllers count in a thread
    fits = fitting(placement, cast(Mapping[str, Cluster], clusters), evaluated)
    identity = next((id for key in _IDS if (id := (old["metadata"].get("labels") or {}).get(key))), "")
    claimed = around.claimed(identity, old["metadata"].get("namespace") or "") if identity else Claimed((), False)
    if left := _left(claimed, fits, bool(new["spec"].get("preserveResourcesOnDeletion"))):
        found.append(left)
    return found


def _left(claimed: Claimed, fits: frozenset[str], preserved: bool) -> str:
    leaving: Counter[str] = Counter()
    moved = nowhere = 0
    for spec in claimed.specs:
        placed = target_names(spec)
        if gone := placed - fits:
            leaving.update(gone)
            moved += 1
            nowhere += not placed & fits
    if not moved:
        return ""
    most = sorted(leaving, key=lambda cluster: (-leaving[cluster], cluster))
    listed = ", ".join(f"{cluster} ({leaving[cluster]})" for cluster in most[:NAMED])
    text = f"spec.placement: {'at least ' if claimed.more else ''}{moved} object{'s' if moved > 1 else ''} "
    text += f"leave{'s' if moved == 1 else ''} clusters that do not fit any more: {listed}{_and_more(most)}"
    if nowhere:
        text += f"; {nowhere} of them {'are' if nowhere > 1 else 'is'} left in none of the clusters they are in"
    return text + ("; what runs there is preserved" if preserved else "")


def _and_more(found: Sequence[str]) -> str:
    return f" and {len(found) - NAMED} more" if len(found) > NAMED else ""


def _named(placement: Placement) -> set[str]:
    return set(_names(affinities(placement)))


def _names(affinities: Iterable[AnyObject]) -> Iterable[str]:
    for affinity in affinities:
        yield from affinity.get("clusterNames") or ()
