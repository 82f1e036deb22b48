"""JSON Merge Patch (RFC 7386), with nulls inside new lists pruned as kube-apiserver's library does."""

from __future__ import annotations

from typing import Any

from kafila.core.values import copy_json

from .scalars import describe


def apply(doc: Any, patch: Any, *, share: bool = False) -> Any:
    """A new document that shares nothing with ``patch``, nor with ``doc``, unless ``share``: then what the patch does not go
    through is the same. Raises ValueError when ``patch`` is no object.
    """
    if not isinstance(patch, dict):
        kind = "null" if patch is None else describe(patch)
        raise ValueError(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )
    if not isinstance(doc, dict):
        doc = {}
    out = doc.copy() if share else copy_json(doc)
    _merge(out, patch, share)
    return out


def _merge(doc: dict[str, Any], patch: dict[str, Any], shared: bool) -> None:
    """``shared``: maps below ``doc`` are others' too."""
    for key, value in patch.items():
        if value is None:
            doc.pop(key, None)
            continue
        current = doc.get(key)
        if not isinstance(current, dict):
            doc[key] = _without_nulls(value)
        elif isinstance(value, dict):
            if shared:
                current = doc[key] = current.copy()
            _merge(current, value, shared)
        else:
            doc[key] = copy_json(value)


def _without_nulls(value: Any) -> Any:
    """New members must not bring nulls along: in a patch null means absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def diff(old: Any, new: Any) -> dict[str, Any]:
    """The smallest merge patch from ``old`` to ``new``, both without nulls."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        current = old.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            if inner := diff(current, value):
                patch[key] = inner
        elif key not in old or current != value or current.__class__ is not value.__class__:
            patch[key] = copy_json(value)
    return patch
