"""ClusterScore of placement.kafila.io/v1alpha1: ours, not Karmada's. What somebody knows of clusters: cost, carbon, latency."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from kafila.core.clock import rfc3339
from kafila.core.names import dns1123_label
from kafila.core.values import Object

from .karmada.columns import CREATED_AT
from .karmada.kinds import Row, custom_kind
from .karmada.model import Int32, ListMap, Model, Time
from .karmada.schemas import Builder
from .kind import Kind
from .tables import schema_of

MOST_CLUSTERS: Final = 5000
MOST: Final = 1_000_000
LONGEST_TTL: Final = 30 * 24 * 3600  # seconds


class ValueOfCluster(Model):
    cluster: str = Field(min_length=1, max_length=253, description="Name of the cluster.")
    value: Int32 = Field(ge=0, le=MOST, description="A whole number; what it counts is for those who write and use it.")


class ClusterScoreSpec(Model):
    ttl_seconds: Int32 = Field(
        ge=1, le=LONGEST_TTL, description="How long after renewTime the values count. Older ones are not used."
    )
    renew_time: Time | None = Field(
        None,
        description="When the values were found. The server puts the time of the write there where scores change and it does "
        "not, or where it is left out.",
    )
    scores: Annotated[list[ValueOfCluster], ListMap(("cluster",))] = Field(
        max_length=MOST_CLUSTERS, description="A value for each cluster that has one."
    )


class ClusterScore(Model):
    """Values of clusters that policies name as weights."""

    spec: ClusterScoreSpec = Field(description="The values, and how long they count.")


_COLUMNS = (
    ("TTL", "integer", ".spec.ttlSeconds"),
    ("RENEWED", "date", ".spec.renewTime"),
    ("AGE", "date", CREATED_AT),
)


def kinds() -> list[Kind]:
    row = Row(
        "placement.kafila.io",
        "ClusterScore",
        "clusterscores",
        ClusterScore,
        namespaced=False,
        categories=(),
        status=False,
        columns=_COLUMNS,
    )
    kind = custom_kind(row, Builder(schema_of))
    kind.strategy.prepare_for_create = lambda new: _renew(new, {})
    kind.strategy.prepare_for_update = _renew
    kind.strategy.name_rule = lambda name, prefix: dns1123_label(name)
    return [kind]


def _renew(new: Object, old: Object) -> None:
    spec, before = new.get("spec"), old.get("spec") or {}
    if type(spec) is not dict:
        return  # validation will say so
    is_told = spec.get("renewTime") and spec.get("renewTime") != before.get("renewTime")
    if not spec.get("renewTime") or (not is_told and spec.get("scores") != before.get("scores")):
        spec["renewTime"] = rfc3339()
