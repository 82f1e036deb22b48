"""Whether a member's answer is what an API answers: JSON within bounds, of the shape that everything behind relies on.

A member is not trusted: what is decoded here costs at most some milliseconds per MiB, and what passes can be read without a look
at the types of its metadata.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from kafila.core.values import Object

from .transport import TooLong, UnusableAnswer

MAX_CONTAINERS: Final = 400_000  # brackets in one answer: each becomes an object in memory, of 60 bytes and more
_TEXTS: Final = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "generateName")
_LONGEST: Final = 1024  # characters of each of these
_MAPS: Final = ("labels", "annotations")
_LISTS: Final = (("finalizers", str), ("ownerReferences", dict))


def document(body: bytes, what: str) -> Any:
    """``body`` as JSON. ``what`` was asked. Raises UnusableAnswer, TooLong."""
    check_size(body, what)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnusableAnswer(f"the answer to {what} is no JSON: {error}") from None


def check_size(body: bytes, what: str) -> None:
    """Before it is decoded. Raises TooLong."""
    if body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        raise TooLong(f"the answer to {what} has more than {MAX_CONTAINERS} lists and maps")


def mapping(body: bytes, what: str) -> Object:
    """Raises UnusableAnswer."""
    found = document(body, what)
    if not isinstance(found, dict):
        raise UnusableAnswer(f"the answer to {what} is no object")
    return found


def check_object(obj: Any, what: str) -> Object:
    """An object of the API as it can be relied upon: sound metadata, if there are any. Raises UnusableAnswer."""
    if not isinstance(obj, dict):
        raise UnusableAnswer(f"the answer to {what} has an object that is none")
    metadata = obj.get("metadata")
    if metadata is not None and not (isinstance(metadata, dict) and _are_sound(metadata)):
        raise UnusableAnswer(f"the answer to {what} has an object with metadata that are none")
    for field in ("kind", "apiVersion"):
        if not isinstance(obj.get(field, ""), str):
            raise UnusableAnswer(f"the answer to {what} has an object whose {field} is no text")
    return obj


def check_stored(obj: Any, what: str) -> Object:
    """An object as it is stored in a member: it can be named and compared. Raises UnusableAnswer."""
    metadata = check_object(obj, what).get("metadata") or {}
    if not metadata.get("name") or not metadata.get("resourceVersion"):
        raise UnusableAnswer(f"the answer to {what} has an object without name or resourceVersion")
    try:
        orjson.dumps(obj)  # which ends at a depth of 254
    except orjson.JSONEncodeError:
        raise UnusableAnswer(f"the answer to {what} has an object that is nested too deep") from None
    return obj


def items_of(answer: Object, what: str) -> list[Object]:
    """The items of a list. Raises UnusableAnswer."""
    items = [] if answer.get("items") is None else answer["items"]
    metadata = {} if answer.get("metadata") is None else answer["metadata"]
    if not isinstance(items, list) or not isinstance(metadata, dict):
        raise UnusableAnswer(f"the answer to {what} is no list")
    if not all(isinstance(metadata.get(field) or "", str) for field in ("continue", "resourceVersion")):
        raise UnusableAnswer(f"the answer to {what} is a list with metadata that are none")
    check_object({**answer, "metadata": None}, what)
    for item in items:
        check_object(item, what)
    return items


def _are_sound(metadata: Object) -> bool:
    for field in _TEXTS:
        value = metadata.get(field)
        if value is not None and not (isinstance(value, str) and len(value) <= _LONGEST):
            return False
    for field in _MAPS:
        values = metadata.get(field)
        if values is not None and not (
            isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
        ):
            return False
    return all(
        (values := metadata.get(field)) is None or (isinstance(values, list) and all(isinstance(v, of) for v in values))
        for field, of in _LISTS
    )
