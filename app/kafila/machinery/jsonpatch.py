"""JSON Patch (RFC 6902) as the library of kube-apiserver understands it, with its texts.

It differs from the RFC: ``replace`` of an absent member adds it, indices may be negative, ``test`` of an absent member
against null holds.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from kafila.core.values import copy_json, same_json

MAX_OPERATIONS: Final = 10_000
MAX_COPIED: Final = 3 * 1024 * 1024  # bytes that all "copy" operations of a patch may add

_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)


class BadPatch(ValueError):
    """The document is no JSON patch (400)."""


class TooManyOperations(ValueError):
    """More than MAX_OPERATIONS (413)."""


class PatchFailed(ValueError):
    """An operation does not apply to the document (422)."""


class TestFailed(PatchFailed):
    """What an operation ``test`` asks for is not so."""


def apply(doc: Any, patch: Any, *, share: bool = False) -> Any:
    """A new document that shares nothing with ``doc``; with ``share`` whatever no operation goes through.

    Raises BadPatch, TooManyOperations, PatchFailed.
    """
    _check(patch)
    root = _Root(doc if share else copy_json(doc), share)
    for operation in patch:
        name = operation.get("op")
        run = _OPERATIONS.get(name) if isinstance(name, str) else None
        if run is None:
            raise PatchFailed(f"Unexpected kind: {name if isinstance(name, str) else 'unknown'}")
        run(root, operation)
    return root.doc


def _check(patch: Any) -> None:
    if not isinstance(patch, list):
        raise BadPatch("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(patch) > MAX_OPERATIONS:
        raise TooManyOperations(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}")
    for operation in patch:
        if not isinstance(operation, dict):
            raise BadPatch("json: cannot unmarshal array into Go value of type jsonpatch.Operation")


class _Root:
    def __init__(self, doc: Any, shared: bool) -> None:
        self.doc = doc
        self.copied = 0
        self._shared = shared
        self._own: dict[int, Any] = {}  # lists and maps that nobody else has, where others have the rest

    def find(self, path: str) -> tuple[Any, str]:
        """The container that ``path`` points into and the last part; None when there is no such container."""
        parts = path.split("/")
        if len(parts) < 2:
            return None, ""
        at = self.doc = self._owned(self.doc)
        for part in parts[1:-1]:
            key: Any = unescaped(part)
            if at.__class__ is dict:
                inner = at.get(key)
            else:
                try:
                    key = _index(key, len(at))
                except PatchFailed:
                    return None, ""
                inner = at[key]
            if inner.__class__ is not dict and inner.__class__ is not list:
                return None, ""
            own = self._owned(inner)
            if own is not inner:
                at[key] = own
            at = own
        return at, unescaped(parts[-1])

    def _owned(self, value: Any) -> Any:
        if not self._shared or id(value) in self._own:
            return value
        own = value.copy()
        self._own[id(own)] = own
        return own


def unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~") if "~" in part else part


def _index(key: str, length: int) -> int:
    if not _INTEGER.fullmatch(key) or len(key) > 18:
        raise PatchFailed(f'strconv.Atoi: parsing "{key}": invalid syntax')
    index = int(key)
    if index < -length or index >= length:
        raise PatchFailed(f"Unable to access invalid index: {index}: invalid index referenced")
    return index + length if index < 0 else index


def _get(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    return container[_index(key, len(container))]


def _add(container: Any, key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        try:
            container.insert(_index(key, len(container) + 1), value)
        except PatchFailed as error:
            if str(error).startswith("strconv"):
                raise PatchFailed(f"value was not a proper array index: '{key}': {error}") from None
            raise


def _remove(container: Any, key: str) -> None:
    if isinstance(container, dict):
        if key not in container:
            raise PatchFailed(f"Unable to remove nonexistent key: {key}: missing value")
        del container[key]
    else:
        del container[_index(key, len(container))]


def _text(operation: dict[str, Any], member: str, missing: str) -> str:
    value = operation.get(member)
    if not isinstance(value, str):
        name = operation["op"]
        raise PatchFailed(f"{name} operation failed to decode {member}: {missing}missing value")
    return value


def _run_add(root: _Root, operation: dict[str, Any]) -> None:
    path = _text(operation, "path", "")
    container, key = root.find(path)
    if container is None:
        raise PatchFailed(f'add operation does not apply: doc is missing path: "{path}": missing value')
    try:
        _add(container, key, copy_json(operation.get("value")))
    except PatchFailed as error:
        raise PatchFailed(f"error in add for path: '{path}': {error}") from None


def _run_remove(root: _Root, operation: dict[str, Any]) -> None:
    path = _text(operation, "path", "")
    container, key = root.find(path)
    if container is None:
        raise PatchFailed(f'remove operation does not apply: doc is missing path: "{path}": missing value')
    try:
        _remove(container, key)
    except PatchFailed as error:
        raise PatchFailed(f"error in remove for path: '{path}': {error}") from None


def _run_replace(root: _Root, operation: dict[str, Any]) -> None:
    path = _text(operation, "path", "operation missing path field: ")
    value = copy_json(operation.get("value"))
    if path == "":
        if not isinstance(value, (dict, list)):
            raise PatchFailed("replace operation value must be object or array: %!w(<nil>)")
        root.doc = value
        return
    container, key = root.find(path)
    if container is None:
        raise PatchFailed(f"replace operation does not apply: doc is missing path: {path}: missing value")
    if isinstance(container, dict):
        container[key] = value
        return
    try:
        container[_index(key, len(container))] = value
    except PatchFailed:
        raise PatchFailed(f"replace operation does not apply: doc is missing key: {path}: missing value") from None


def _run_move(root: _Root, operation: dict[str, Any]) -> None:
    source = _text(operation, "from", "operation, missing from field: ")
    container, key = root.find(source)
    if container is None:
        raise PatchFailed(f"move operation does not apply: doc is missing from path: {source}: missing value")
    try:
        value = _get(container, key)
        _remove(container, key)
    except PatchFailed as error:
        raise PatchFailed(f"error in move for path: '{key}': {error}") from None
    path = _text(operation, "path", "operation missing path field: ")
    container, key = root.find(path)
    if container is None:
        raise PatchFailed(f"move operation does not apply: doc is missing destination path: {path}: missing value")
    try:
        _add(container, key, value)
    except PatchFailed as error:
        raise PatchFailed(f"error in move for path: '{path}': {error}") from None


def _run_copy(root: _Root, operation: dict[str, Any]) -> None:
    source = _text(operation, "from", "operation, missing from field: ")
    container, key = root.find(source)
    if container is None:
        raise PatchFailed(f"copy operation does not apply: doc is missing from path: {source}: missing value")
    try:
        value = _get(container, key)
    except PatchFailed as error:
        raise PatchFailed(f"error in copy for from: '{source}': {error}") from None
    path = _text(operation, "path", "")
    container, key = root.find(path)
    if container is None:
        raise PatchFailed(f"copy operation does not apply: doc is missing destination path: {path}: missing value")
    root.copied += len(orjson.dumps(value))
    if root.copied > MAX_COPIED:
        raise PatchFailed(
            f"Unable to complete the copy, the accumulated size increase of copy is {root.copied}, "
            f"exceeding the limit {MAX_COPIED}"
        )
    try:
        _add(container, key, copy_json(value))
    except PatchFailed as error:
        raise PatchFailed(f"error while adding value during copy: {error}") from None


def _run_test(root: _Root, operation: dict[str, Any]) -> None:
    path = _text(operation, "path", "operation missing path field: ")
    expected = operation.get("value")
    if path == "":
        value = root.doc
    else:
        container, key = root.find(path)
        if container is None:
            raise PatchFailed(f"test operation does not apply: is missing path: {path}: missing value")
        try:
            value = _get(container, key)
        except PatchFailed as error:
            raise PatchFailed(f"error in test for path: '{path}': {error}") from None
    if not same_json(value, expected):
        raise TestFailed(f"testing value {path} failed: test failed")


_OPERATIONS: Final = {
    "add": _run_add,
    "remove": _run_remove,
    "replace": _run_replace,
    "move": _run_move,
    "copy": _run_copy,
    "test": _run_test,
}
