"""The rule that every affinity to clusters keeps, wherever it stands."""

from __future__ import annotations

from kafila.core.errors import FieldError
from kafila.core.values import Object

Found = list[FieldError]

_FIELD_KEYS = frozenset({"provider", "region", "zone"})


def validate_cluster_affinity(affinity: Object | None, path: str) -> Found:
    selector = (affinity or {}).get("fieldSelector")
    why = _field_selector(selector)
    return [FieldError.invalid(f"{path}.fieldSelector", selector, why)] if why else []


def _field_selector(selector: Object | None) -> str:
    for expression in (selector or {}).get("matchExpressions") or ():
        key, operator = expression.get("key", ""), expression.get("operator", "")
        if key not in _FIELD_KEYS:
            return f'unsupported key "{key}", must be provider, region, or zone'
        if operator not in ("In", "NotIn"):
            return f'unsupported operator "{operator}", must be In or NotIn'
    return ""
