"""Patches of overriders: of whole objects, and of JSON or YAML text that a field holds, such as a file in a ConfigMap."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final, Literal, NamedTuple, final

from kafila.core.values import Object
from kafila.machinery import jsonpatch, yaml
from kafila.machinery.yamlout import dump_text
from kafila.placement.gojson import unsorted

Form = Literal["yaml", "json"]
TOO_DEEP: Final = "exceeded max depth"
_REMEMBERED: Final = 32 << 20  # characters


class OverrideError(Exception):
    """A policy does not apply to the object. ``event`` is what Karmada records on the template."""

    def __init__(self, message: str, event: str = "") -> None:
        super().__init__(message)
        self.event = event


def patched(document: Any, overriders: Sequence[Object], path_field: str) -> Any:
    """A new document. Raises OverrideError, and ValueError as ``jsonpatch.apply`` does."""
    pending: list[Object] = []
    for overrider in overriders:
        operator, path = overrider.get("operator"), overrider.get(path_field) or ""
        if operator == "replace":
            # Karmada's library refuses to replace what is not there; that of the API server adds it.
            if pending:
                document, pending = jsonpatch.apply(document, pending), []
            _must_exist(document, path)
        pending.append({"op": operator, "path": path, "value": overrider.get("value")})
    return jsonpatch.apply(document, pending) if pending else document


def _must_exist(document: Any, path: str) -> None:
    at = document
    parts = path.split("/")[1:]
    for index, part in enumerate(parts, 1):
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(at, dict) and part in at:
            at = at[part]
        elif isinstance(at, list) and part.lstrip("-").isdigit() and -len(at) <= int(part) < len(at):
            at = at[int(part)]
        else:
            missing = "key" if index == len(parts) and isinstance(at, dict | list) else "path"
            raise OverrideError(f"replace operation does not apply: doc is missing {missing}: {path}: missing value")


class _Outcome(NamedTuple):
    text: str
    error: str = ""


_Key = tuple[str, Form, str]  # text, form, overriders


def _size(key: _Key, found: _Outcome) -> int:
    return len(key[0]) + len(key[2]) + len(found.text)


@final
class FieldTexts:
    """Patched texts, remembered: many clusters get the same, and who reads ahead in a thread finds it here again."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, _Outcome] = OrderedDict()
        self._lock = Lock()
        self._size = 0

    def patched(self, text: str, form: Form, overriders: Sequence[Object]) -> str:
        """Raises OverrideError, whatever the text is."""
        key = text, form, json.dumps(overriders, sort_keys=True)
        found = self._known.get(key)
        if found is None:
            found = _patched_text(text, form, overriders)
            self._remember(key, found)
        if found.error:
            raise OverrideError(found.error)
        return found.text

    def _remember(self, key: _Key, found: _Outcome) -> None:
        with self._lock:
            if key in self._known:
                return
            self._known[key] = found
            self._size += _size(key, found)
            while self._size > _REMEMBERED and len(self._known) > 1:
                self._size -= _size(*self._known.popitem(last=False))


def _patched_text(text: str, form: Form, overriders: Sequence[Object]) -> _Outcome:
    try:
        if form == "yaml":
            return _Outcome(dump_text(patched(yaml.load(text)[0], overriders, "subPath")))
        return _Outcome(unsorted(patched(json.loads(text), overriders, "subPath")))
    except RecursionError:
        return _Outcome("", TOO_DEEP)
    except (ValueError, OverrideError) as error:
        return _Outcome("", str(error))
