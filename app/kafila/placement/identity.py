"""What an object is: the fields, labels and annotations that an override, a script or a webhook must not change.

An object that became another one on its way to a member would be written with the control plane's rights there, and its Work,
its binding and its template could not be found again from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from kafila.core.values import Object
from kafila.placement import constants
from kafila.placement.objects import metadata

_FIELDS: Final = ("apiVersion", "kind")
_METADATA: Final = ("name", "namespace", "uid", "generation", "ownerReferences")
LABELS: Final = frozenset(
    {
        constants.MANAGED,
        constants.PP_PERMANENT_ID,
        constants.CPP_PERMANENT_ID,
        constants.RB_PERMANENT_ID,
        constants.CRB_PERMANENT_ID,
        constants.WORK_PERMANENT_ID,
    }
)
ANNOTATIONS: Final = frozenset(
    {
        constants.PP_NAMESPACE,
        constants.PP_NAME,
        constants.CPP_NAME,
        constants.RB_NAMESPACE,
        constants.RB_NAME,
        constants.CRB_NAME,
        constants.WORK_NAMESPACE,
        constants.WORK_NAME,
        constants.TEMPLATE_UID,
        constants.TEMPLATE_GENERATION,
        constants.MANAGED_LABELS,
        constants.MANAGED_ANNOTATIONS,
    }
)
_RESERVED: Final = {"labels": LABELS, "annotations": ANNOTATIONS}


class Changed(Exception):
    """``field``: what would be changed, as a path (``metadata.name``)."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} says what the object is and must not be changed")
        self.field = field


def pointed(pointer: str) -> list[str]:
    """The parts of a JSON pointer, as the patch library reads it: what stands before the first slash does not count."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def check_path(parts: Sequence[str], value: Any = None) -> None:
    """Raises Changed when writing ``value`` at this path changes what an object is, whatever the object."""
    match list(parts):
        case []:
            raise Changed("the whole object")
        case [field, *_] if field in _FIELDS:
            raise Changed(field)
        case ["metadata"]:
            raise Changed("metadata")
        case ["metadata", field, *_] if field in _METADATA:
            raise Changed(f"metadata.{field}")
        case ["metadata", ("labels" | "annotations") as field, *rest]:
            check_keys(field, rest or (value if isinstance(value, dict) else ()))


def check_keys(field: str, keys: Any) -> None:
    """``field``: labels or annotations. Raises Changed when one of the keys is reserved."""
    for key in keys:
        if key in _RESERVED[field]:
            raise Changed(f"metadata.{field}[{key}]")


def identity_of(obj: Object) -> dict[str, Any]:
    """What the object is, by path. Empty values count as absent."""
    return {path: value for path, value in _identity(obj) if value}


def _identity(obj: Object) -> Iterator[tuple[str, Any]]:
    for field in _FIELDS:
        yield field, obj.get(field)
    meta = metadata(obj)
    for field in _METADATA:
        yield f"metadata.{field}", meta.get(field)
    for field, reserved in _RESERVED.items():
        found = meta.get(field)
        if not isinstance(found, dict):
            continue
        for key in sorted(reserved & found.keys()):
            yield f"metadata.{field}[{key}]", found[key]


def check_same(before: dict[str, Any], obj: Object) -> None:
    """``before``: ``identity_of`` the object as it was. Raises Changed with the first field that differs.

    A label that is only gone, because all labels were replaced, is put there again before the object is sent.
    """
    try:
        after = identity_of(obj)
    except (AttributeError, TypeError):
        raise Changed("metadata") from None  # no object any more
    for path in [*before, *after]:
        is_gone = path.endswith("]") and path not in after
        if before.get(path) != after.get(path) and not is_gone:
            raise Changed(path)


def with_reserved_of(obj: Object, original: Object) -> Object:
    """``obj`` with the reserved labels and annotations that ``original`` has and no others. Changes ``obj``."""
    for field, reserved in _RESERVED.items():
        found = dict(metadata(obj).get(field) or {})
        kept = {key: value for key, value in found.items() if key not in reserved}
        kept |= {key: value for key, value in (metadata(original).get(field) or {}).items() if key in reserved}
        if kept != found:
            obj.setdefault("metadata", {})[field] = kept
    return obj
