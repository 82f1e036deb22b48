"""Which clusters a namespace may use, whatever policies and bindings say: two annotations of the namespace, ours.

Karmada has nothing like it. Without the annotations a namespace may use every cluster. Who may not write the namespace cannot
change them, which is how a namespace is given to a team; `admission/karmada/rights.py` then asks more of those who write in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from kafila.core.errors import FieldError
from kafila.core.names import dns1123_label
from kafila.core.selectors import NOTHING, SelectorError, parse
from kafila.core.values import AnyObject
from kafila.placement.objects import labels_of, name

PREFIX: Final = "placement.kafila.io/allowed-cluster"  # of both
NAMES: Final = f"{PREFIX}s"  # names, separated by commas; a * for all
SELECTOR: Final = f"{PREFIX}-selector"  # labels, as kubectl's -l has them
ALL: Final = "*"
NOT_ALLOWED: Final = "cluster(s) are not allowed for the namespace"
EVENT_NOT_ALLOWED: Final = "ClustersNotAllowed"


class Limit(NamedTuple):
    """Clusters of these names, and those with these labels (an empty selector: no others)."""

    names: frozenset[str]
    selector: str

    def among(self, clusters: Iterable[AnyObject]) -> frozenset[str]:
        """The names of those that are allowed. A selector that cannot be read allows none."""
        try:
            selector = parse(self.selector) if self.selector else NOTHING
        except SelectorError:
            selector = NOTHING
        return frozenset(
            name(cluster)
            for cluster in clusters
            if ALL in self.names or name(cluster) in self.names or selector.matches(labels_of(cluster))
        )


def limit_of(annotations: Mapping[str, str] | None) -> Limit | None:
    """None: every cluster may be used."""
    if not annotations or (NAMES not in annotations and SELECTOR not in annotations):
        return None
    return Limit(frozenset(_names(annotations.get(NAMES, ""))), annotations.get(SELECTOR, ""))


def problems(annotations: Mapping[str, str]) -> list[FieldError]:
    """What is wrong with them."""
    found = []
    for each in _names(annotations.get(NAMES, "")):
        if why := dns1123_label(each) if each != ALL else []:
            found.append(FieldError.invalid(f"metadata.annotations[{NAMES}]", each, "; ".join(why)))
    try:
        parse(annotations.get(SELECTOR, ""))
    except SelectorError as error:
        found.append(FieldError.invalid(f"metadata.annotations[{SELECTOR}]", annotations[SELECTOR], str(error)))
    return found


def left_out_text(namespace: str, named: Iterable[str], others: int = 0) -> str:
    """For an event. ``named``: clusters that somebody wrote down; of others only the number is told: who reads events of the
    namespace need not know which clusters there are."""
    listed = sorted(named)
    told = f"cluster(s) {', '.join(listed)}" if listed else ""
    more = f"{others} {'more' if told else 'cluster(s) that the placement means'}" if others else ""
    return f"namespace {namespace} may not use {' and '.join(filter(None, (told, more)))} (annotations {PREFIX}…)"


def clusters_named(placement: AnyObject) -> frozenset[str]:
    """In the affinities of a policy."""
    affinities = (placement.get("clusterAffinity") or {}, *(placement.get("clusterAffinities") or ()))
    return frozenset(name for affinity in affinities for name in affinity.get("clusterNames") or ())


def _names(text: str) -> list[str]:
    return [each for each in (part.strip() for part in text.split(",")) if each]
