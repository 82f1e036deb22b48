"""How much one change takes out of clusters, and whether somebody has to approve of it first.

What waits stands in an annotation of the policy or Cluster that was changed, and so does the approval. Both are of one edition of it:
a further change is another question.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from kafila.core.values import AnyObject
from kafila.placement.cluster_affinity import matcher
from kafila.placement.cluster_expression import expression_of, outcome
from kafila.placement.objects import annotations_of
from kafila.placement.spec import target_names, terms
from kafila.placement.types import Binding, Cluster, Placement, PropagationPolicy

APPROVED: Final = "kafila.io/approved-withdrawal"  # an edition, or ALWAYS
HELD: Final = "kafila.io/held-withdrawal"  # edition, and what would leave
HELD_LABELS: Final = "kafila.io/held-relabeling"  # of a Cluster: the same, for what it is not any more
ALWAYS: Final = "always"
NAMED: Final = 10  # clusters in one text
LONGEST: Final = 1000  # characters that are shown: whoever writes policies may have written them


class Limits(NamedTuple):
    """More than so many objects, or out of more than so many clusters, wait for an approval; 0: there is no limit."""

    objects: int
    clusters: int

    def exceeded(self, objects: int, clusters: int) -> bool:
        return 0 < self.objects < objects or 0 < self.clusters < clusters


class Withdrawal:
    """Counts what leaves which clusters."""

    def __init__(self) -> None:
        self.objects = 0
        self.clusters: Counter[str] = Counter()

    def add(self, leaving: Iterable[str]) -> None:
        """An object that leaves these clusters."""
        found = list(leaving)
        self.objects += bool(found)
        self.clusters.update(found)

    def exceeds(self, limits: Limits) -> bool:
        return limits.exceeded(self.objects, len(self.clusters))

    def __str__(self) -> str:
        most = sorted(self.clusters, key=lambda cluster: (-self.clusters[cluster], cluster))
        listed = ", ".join(f"{cluster} ({self.clusters[cluster]})" for cluster in most[:NAMED])
        more = f" and {len(most) - NAMED} more" if len(most) > NAMED else ""
        return f"{self.objects} objects leave {len(most)} clusters: {listed}{more}"


def affinities(placement: Placement) -> Sequence[AnyObject]:
    """Any of which may hold the object; an empty one holds all clusters."""
    groups = terms(placement)
    if not groups:
        return [placement.get("clusterAffinity") or {}]
    return [*groups, *(each for group in groups for each in group.get("overflowAffinities") or ())]


def fitting(placement: Placement, clusters: Mapping[str, Cluster], expression: str = "") -> frozenset[str]:
    """Names of the clusters that a placement's affinities and its cluster expression mean, or that it knows nothing of."""
    tests = [matcher(affinity) for affinity in affinities(placement)]
    found = [name for name, cluster in clusters.items() if any(test(cluster) for test in tests)]
    if expression:
        answers = {name: outcome(expression, clusters[name]) for name in found}
        found = [name for name, answer in answers.items() if answer.matches or answer.error]
    return frozenset(found)


def is_carried_out(binding: Binding, policy: PropagationPolicy) -> bool:
    """Has the binding the policy's placement already?"""
    is_same = binding["spec"].get("placement") == (policy["spec"].get("placement") or {})
    return is_same and expression_of(binding) == expression_of(policy)


def leaving(binding: Binding, policy: PropagationPolicy, fits: frozenset[str]) -> frozenset[str]:
    """The clusters that a binding would leave for the policy as it is now; one that has it already leaves none."""
    return frozenset() if is_carried_out(binding, policy) else target_names(binding["spec"]) - fits


def generation(obj: AnyObject) -> int:
    return int((obj.get("metadata") or {}).get("generation") or 0)


def edition(obj: AnyObject) -> str:
    """What an approval is of: the generation, and of a policy with a cluster expression which one, for that raises none."""
    expression = expression_of(obj)
    if not expression:
        return str(generation(obj))
    return f"{generation(obj)}-{hashlib.sha256(expression.encode()).hexdigest()[:8]}"


def labels_edition(cluster: AnyObject) -> str:
    """What an approval is of that is about what a Cluster is: its spec, and its labels, for these raise no generation."""
    said = orjson.dumps((cluster.get("metadata") or {}).get("labels") or {}, option=orjson.OPT_SORT_KEYS)
    return f"{generation(cluster)}-labels-{hashlib.sha256(said).hexdigest()[:8]}"


class Question(NamedTuple):
    """``annotation``: where what waits stands."""

    annotation: str
    edition: Callable[[AnyObject], str]


CHANGE: Final = Question(HELD, edition)  # of a policy, or of a Cluster's taints
LABELS: Final = Question(HELD_LABELS, labels_edition)
_QUESTIONS: Final = (CHANGE, LABELS)


def is_approved(obj: AnyObject, question: Question = CHANGE) -> bool:
    """Whoever may change the policy or the Cluster has approved of this edition of it, or of all."""
    said = annotations_of(obj).get(APPROVED)
    # the edition with the labels in it names the generation too, of which the taints are
    return said in (question.edition(obj), labels_edition(obj), ALWAYS)


def mark(obj: AnyObject, text: str, question: Question = CHANGE) -> str:
    """The value of the annotation."""
    return f"{question.edition(obj)}: {text}"


def waiting_for(obj: AnyObject, question: Question) -> str:
    """What waits for an approval, "" for nothing."""
    of, _, text = annotations_of(obj).get(question.annotation, "").partition(": ")
    if of != question.edition(obj) or is_approved(obj, question):
        return ""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:LONGEST])


def waiting(obj: AnyObject) -> str:
    """All of it."""
    return "; ".join(filter(None, (waiting_for(obj, question) for question in _QUESTIONS)))


def approval(obj: AnyObject) -> str:
    """The value of `APPROVED` that lets all go on that waits."""
    return labels_edition(obj) if waiting_for(obj, LABELS) else edition(obj)
