"""The annotations applied-overrides and applied-cluster-overrides of a Work: what was applied, as Go writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from kafila.core.values import AnyObject
from kafila.placement.gojson import Field, array, raw, string, string_map, struct


class Applied(NamedTuple):
    policy: str
    overriders: AnyObject


_OPERATOR: Final = Field("operator", string, keep_empty=True, zero='""')
_RAW_VALUE: Final = Field("value", raw, keep_empty=True)
_PATCHES: Final = array(struct(Field("subPath", string, keep_empty=True, zero='""'), _OPERATOR, _RAW_VALUE))
_COMMAND: Final = array(
    struct(Field("containerName", string, keep_empty=True, zero='""'), _OPERATOR, Field("value", array(string)))
)
_STRINGS: Final = array(struct(_OPERATOR, Field("value", string_map, keep_empty=True)))
_PATH: Final = Field("path", string, keep_empty=True, zero='""')
_OVERRIDERS: Final = struct(
    Field("plaintext", array(struct(_PATH, _OPERATOR, _RAW_VALUE))),
    Field(
        "imageOverrider",
        array(
            struct(
                Field("predicate", struct(_PATH), is_pointer=True),
                Field("component", string, keep_empty=True, zero='""'),
                _OPERATOR,
                Field("value", string),
            )
        ),
    ),
    Field("commandOverrider", _COMMAND),
    Field("argsOverrider", _COMMAND),
    Field("labelsOverrider", _STRINGS),
    Field("annotationsOverrider", _STRINGS),
    Field(
        "fieldOverrider",
        array(
            struct(
                Field("fieldPath", string, keep_empty=True, zero='""'),
                Field("json", _PATCHES),
                Field("yaml", _PATCHES),
            )
        ),
    ),
)
_ITEM: Final = struct(
    Field("policyName", string, keep_empty=True, zero='""'),
    Field("overriders", _OVERRIDERS, keep_empty=True, zero="{}"),
)


def applied_text(applied: Sequence[Applied]) -> str:
    """Sorted by the name of the policy; "" when nothing was applied."""
    if not applied:
        return ""
    items = sorted(applied, key=lambda item: item.policy)
    return f"[{','.join(_ITEM({'policyName': i.policy, 'overriders': i.overriders}) for i in items)}]"
