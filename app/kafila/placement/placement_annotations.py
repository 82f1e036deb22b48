"""Annotations of policies that add to their placement, ours. Bindings carry them, so that a decision needs no policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import orjson

from kafila.placement import cluster_expression, cluster_scores, replica_bounds

CARRIED: Final = (cluster_expression.ANNOTATION, replica_bounds.ANNOTATION, *cluster_scores.ANNOTATIONS)
APPLIED: Final = (
    "placement.kafila.io/applied-annotations"  # of a binding: `digest` of those that the scheduler last used
)


def carried(annotations: Mapping[str, str]) -> dict[str, str]:
    """Of a policy or a binding: those that add to the placement."""
    return {key: annotations[key] for key in CARRIED if key in annotations}


def digest(annotations: Mapping[str, str]) -> str:
    """Another one when one of them is another; "" where there are none."""
    found = carried(annotations)
    return hashlib.sha256(orjson.dumps(found, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16] if found else ""


def with_carried(kept: Mapping[str, str], policy: Mapping[str, str]) -> dict[str, str]:
    """Annotations of a binding with those of its policy, and no others of these."""
    return {**{key: value for key, value in kept.items() if key not in CARRIED}, **carried(policy)}
