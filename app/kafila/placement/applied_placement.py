"""The annotation ``policy.karmada.io/applied-placement``: the placement that the scheduler last used, as Go writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from kafila.core.remembered import remembered
from kafila.core.values import AnyObject
from kafila.placement.gojson import Field, array, number, string, string_map, struct

_REQUIREMENT: Final = struct(
    Field("key", string, keep_empty=True, zero='""'),
    Field("operator", string, keep_empty=True, zero='""'),
    Field("values", array(string)),
)
LABEL_SELECTOR: Final = struct(Field("matchLabels", string_map), Field("matchExpressions", array(_REQUIREMENT)))
_AFFINITY_FIELDS: Final = (
    Field("labelSelector", LABEL_SELECTOR, is_pointer=True),
    Field("fieldSelector", struct(Field("matchExpressions", array(_REQUIREMENT))), is_pointer=True),
    Field("clusterNames", array(string)),
    Field("exclude", array(string)),
)
_AFFINITY_NAME: Final = Field("affinityName", string, keep_empty=True, zero='""')
_AFFINITY: Final = struct(*_AFFINITY_FIELDS)
_OVERFLOW: Final = struct(_AFFINITY_NAME, *_AFFINITY_FIELDS)
_TERM: Final = struct(_AFFINITY_NAME, *_AFFINITY_FIELDS, Field("overflowAffinities", array(_OVERFLOW)))
_TOLERATION: Final = struct(
    Field("key", string),
    Field("operator", string),
    Field("value", string),
    Field("effect", string),
    Field("tolerationSeconds", number, is_pointer=True),
)
_SPREAD: Final = struct(
    Field("spreadByField", string),
    Field("spreadByLabel", string),
    Field("maxGroups", number),
    Field("minGroups", number),
)
_STATIC_WEIGHT: Final = struct(
    Field("targetCluster", _AFFINITY, keep_empty=True, zero="{}"),
    Field("weight", number, keep_empty=True, zero="0"),
)
_STRATEGY: Final = struct(
    Field("replicaSchedulingType", string),
    Field("replicaDivisionPreference", string),
    Field(
        "weightPreference",
        struct(Field("staticWeightList", array(_STATIC_WEIGHT)), Field("dynamicWeight", string)),
        is_pointer=True,
    ),
)
_GROUP_BY: Final = struct(Field("groupByLabelKey", string, keep_empty=True, zero='""'))
_WORKLOAD_AFFINITY: Final = struct(
    Field("affinity", _GROUP_BY, is_pointer=True), Field("antiAffinity", _GROUP_BY, is_pointer=True)
)
_PLACEMENT: Final = struct(
    Field("clusterAffinity", _AFFINITY, is_pointer=True),
    Field("clusterAffinities", array(_TERM)),
    Field("clusterTolerations", array(_TOLERATION)),
    Field("spreadConstraints", array(_SPREAD)),
    Field("replicaScheduling", _STRATEGY, is_pointer=True),
    Field("workloadAffinity", _WORKLOAD_AFFINITY, is_pointer=True),
)
_ALWAYS_COMPARED: Final = (
    ("clusterAffinity", _AFFINITY),
    ("clusterTolerations", array(_TOLERATION)),
    ("spreadConstraints", array(_SPREAD)),
    ("replicaScheduling", _STRATEGY),
)


def placement_text(placement: AnyObject) -> str:
    return _placement_text(orjson.dumps(placement))


@remembered(4096)
def _placement_text(placement: bytes) -> str:
    """Many bindings share a placement, and each is asked several times."""
    return _PLACEMENT(orjson.loads(placement))


def term_text(term: AnyObject) -> str:
    return _TERM(term)


def same_outside_affinities(left: AnyObject, right: AnyObject) -> bool:
    """Are the parts equal that matter whichever term of ``clusterAffinities`` is in use?"""
    return all(_text(left.get(name), write) == _text(right.get(name), write) for name, write in _ALWAYS_COMPARED)


def _text(value: Any, write: Callable[[Any], str]) -> str:
    return "" if value is None or value == [] else write(value)
