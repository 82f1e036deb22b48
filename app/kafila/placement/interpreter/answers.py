"""What scripts and webhooks answer, checked: they may fail, and they may lie.

Each function raises InterpretError, with Karmada's words where it has some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from kafila.core import quantity
from kafila.core.errors import FieldError
from kafila.core.selectors import SelectorError, from_object
from kafila.core.values import Object
from kafila.placement.aggregate_errors import aggregate_text
from kafila.placement.identity import with_reserved_of
from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.objects import metadata

_INT32: Final = 2**31
_NODE_CLAIM: Final = {"hardNodeAffinity": dict, "nodeSelector": dict, "tolerations": list}


def int32(value: Any, field: str = "replicas") -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT32 <= value < _INT32:
        raise InterpretError(f"{field} is {_shown(value)}, no 32-bit integer")
    return value


def requirements(value: Any, field: str = "replicaRequirements") -> Object | None:
    """ReplicaRequirements; fields that it does not have are left out."""
    if value is None:
        return None
    _expect(value, dict, field)
    found: Object = {}
    if value.get("nodeClaim") is not None:
        found["nodeClaim"] = _node_claim(value["nodeClaim"], f"{field}.nodeClaim")
    if value.get("resourceRequest"):
        found["resourceRequest"] = _amounts(value["resourceRequest"], f"{field}.resourceRequest")
    for text in ("namespace", "priorityClassName"):
        if value.get(text):
            found[text] = _expect(value[text], str, f"{field}.{text}")
    return found


def _objects(value: Any, field: str) -> Iterator[tuple[str, Object]]:
    """Those of a list, with their paths."""
    for index, each in enumerate(_expect([] if value is None else value, list, field)):
        path = f"{field}[{index}]"
        yield path, _expect(each, dict, path)


def components(value: Any) -> list[Object]:
    found = []
    for field, each in _objects(value, "components"):
        component: Object = {
            "name": _expect(each.get("name") or "", str, f"{field}.name"),
            "replicas": int32(each.get("replicas") or 0, f"{field}.replicas"),
        }
        needs = requirements(each.get("replicaRequirements"), f"{field}.replicaRequirements")
        if needs is not None:
            component["replicaRequirements"] = {k: v for k, v in needs.items() if k != "namespace"}
        found.append(component)
    return found


def dependencies(value: Any) -> list[Object]:
    found = []
    for field, each in _objects(value, "dependencies"):
        reference: Object = {
            text: _expect(each[text], str, f"{field}.{text}")
            for text in ("apiVersion", "kind", "namespace", "name")
            if each.get(text)
        }
        if each.get("labelSelector") is not None:
            reference["labelSelector"] = _expect(each["labelSelector"], dict, f"{field}.labelSelector")
        found.append(reference)
    _verify(found)
    return found


def _verify(references: Sequence[Object]) -> None:
    errors: list[FieldError] = []
    for index, reference in enumerate(references):
        path = f"dependencies[{index}]"
        for field in ("apiVersion", "kind"):
            if not reference.get(field):
                errors.append(FieldError.invalid(f"{path}.{field}", "", f"missing required {field}"))
        selector = reference.get("labelSelector")
        if not reference.get("name") and selector is None:
            text = "dependency can not leave name and labelSelector all empty"
            errors.append(FieldError.invalid(path, reference, text))
        try:
            from_object(selector)
        except (SelectorError, AttributeError, KeyError, TypeError) as error:
            errors.append(FieldError.invalid(f"{path}.labelSelector", selector, str(error)))
    if errors:
        raise InterpretError(aggregate_text(f"{error.field}: {error.body}" for error in errors))


def sorted_dependencies(lists: Sequence[Sequence[Object]]) -> list[Object]:
    """Those of several scripts together, each once."""
    found = {orjson.dumps(each, option=orjson.OPT_SORT_KEYS): each for references in lists for each in references}
    return sorted(
        found.values(), key=lambda each: [each.get(f) or "" for f in ("apiVersion", "kind", "namespace", "name")]
    )


def status(value: Any, field: str = "status") -> Object:
    found: Object = _expect(value, dict, field)
    return found


def same_object(answer: Any, obj: Object, operation: str) -> Object:
    """An object that was made from ``obj`` is still that object. Changes ``answer``: Karmada's labels and annotations are ours to set."""
    _expect(answer, dict, operation)
    if not isinstance(answer.get("metadata") or {}, dict):
        raise InterpretError(f"{operation}: metadata is {_shown(answer['metadata'])}")
    for field in ("apiVersion", "kind"):
        if answer.get(field) != obj.get(field):
            raise InterpretError(f"{operation} must not change {field}, and made it {_shown(answer.get(field))}")
    for field in ("namespace", "name"):
        if (metadata(answer).get(field) or "") != (metadata(obj).get(field) or ""):
            made = _shown(metadata(answer).get(field))
            raise InterpretError(f"{operation} must not change metadata.{field}, and made it {made}")
    if metadata(obj).get("uid") and metadata(answer).get("uid") != metadata(obj)["uid"]:
        made = _shown(metadata(answer).get("uid"))
        raise InterpretError(f"{operation} must not change metadata.uid, and made it {made}")
    for field in ("labels", "annotations"):
        if not isinstance(metadata(answer).get(field) or {}, dict):
            raise InterpretError(f"{operation}: metadata.{field} is {_shown(metadata(answer)[field])}")
    return with_reserved_of(answer, obj)


def _node_claim(value: Any, field: str) -> Object:
    _expect(value, dict, field)
    return {
        name: _expect(value[name], wanted, f"{field}.{name}") for name, wanted in _NODE_CLAIM.items() if value.get(name)
    }


def _amounts(value: Any, field: str) -> Mapping[str, str]:
    found = {}
    for resource, amount in _expect(value, dict, field).items():
        try:
            if isinstance(amount, bool) or not isinstance(amount, str | int | float):
                raise quantity.QuantityError(f"{_shown(amount)} is no quantity")
            found[resource] = quantity.canonical(str(amount))
        except quantity.QuantityError as error:
            raise InterpretError(f"{field}[{resource}]: {error}") from None
    return found


def _expect(value: Any, wanted: type, field: str) -> Any:
    if not isinstance(value, wanted):
        names: dict[type, str] = {dict: "object", list: "list", str: "string"}
        raise InterpretError(f"{field} is {_shown(value)}, no {names[wanted]}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 64 else f"{text[:60]}…"
