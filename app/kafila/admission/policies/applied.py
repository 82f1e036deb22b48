"""What most configurations of expressions are, applied while they are read: objects that are there get values of single fields.

It gives what the long way would give, which reads, checks, merges and decodes one after the other; whatever is not plain here is left
to that, and so is all that is wrong. Pure.
"""

from __future__ import annotations

from typing import Any, Final, final

from kafila.cel.admission import Made
from kafila.core.values import Object
from kafila.machinery.decode import ABSENT, DecodeError, compile_decoder, compile_field
from kafila.machinery.scalars import Mismatch
from kafila.machinery.schema import Schema

FEW: Final = 100  # values that a configuration has
_SCALARS: Final[dict[str, type]] = {"string": str, "boolean": bool, "integer": int}


class _NotPlain(Exception):
    """The long way has to look at it."""


def applied(schema: Schema, live: Object, made: Made) -> Object | None:
    """``live`` with what ``made`` says, decoded, sharing with ``live`` what stays; ``live`` is decoded. None: not plain."""
    if "apiVersion" in made.fields or "kind" in made.fields:
        return None
    compile_decoder(schema)
    try:
        return _Applying().struct(schema, live, made, made.type_name)
    except (_NotPlain, Mismatch, DecodeError):
        return None


@final
class _Applying:
    def __init__(self) -> None:
        self._left = FEW

    def struct(self, schema: Schema, live: Object, made: Made, path: str) -> Object:
        """``path``: what the type is called that belongs here."""
        given = made.fields
        self._left -= len(given)
        if made.type_name != path or self._left < 0 or schema.atomic or schema.preserve_unknown:
            raise _NotPlain
        fields, out, appended = schema.fields, live.copy(), False
        for name, item in given.items():
            child = fields.get(name)
            if child is None:
                raise _NotPlain
            kind = child.kind
            before = live.get(name, ABSENT)
            if item.__class__ is _SCALARS.get(kind):
                appended = appended or before is ABSENT
                if item and kind != "integer":  # as the decoder leaves it
                    out[name] = item
                else:
                    _set(out, name, compile_field(schema, name)(item, []))
            elif kind == "struct" and item.__class__ is Made and before.__class__ is dict:
                out[name] = self.struct(child, before, item, f"{path}.{name}")
            elif kind == "list" and item.__class__ is list and before.__class__ is list:
                out[name] = self._elements(child, before, item, f"{path}.{name}")
            elif kind == "map" and item.__class__ is dict and before.__class__ is dict:
                out[name] = self._texts(child, before, item)
            else:
                raise _NotPlain
        return {name: out[name] for name in fields if name in out} if appended else out

    def _elements(self, schema: Schema, live: list[Any], given: list[Any], path: str) -> list[Any]:
        """Those that are there, each with its own, in the same order."""
        items = schema.items
        if items is None or items.kind != "struct" or len(schema.list_map_keys) != 1 or len(live) != len(given):
            raise _NotPlain
        (key,) = schema.list_map_keys
        out, seen = [], set()
        for before, item in zip(live, given, strict=True):
            if item.__class__ is not Made or before.__class__ is not dict:
                raise _NotPlain
            name = item.fields.get(key)
            if name.__class__ is not str or name in seen or before.get(key) != name:
                raise _NotPlain
            seen.add(name)
            out.append(self.struct(items, before, item, path))
        return out

    def _texts(self, schema: Schema, live: Object, given: Object) -> Object:
        self._left -= len(given)
        if schema.items is None or schema.items.kind != "string" or schema.atomic or self._left < 0:
            raise _NotPlain
        out = live.copy()
        for key, item in given.items():
            if key.__class__ is not str or item.__class__ is not str:
                raise _NotPlain
            out[key] = item
        return dict(sorted(out.items())) if len(out) > len(live) else out


def _set(out: Object, name: str, value: Any) -> None:
    if value is ABSENT:
        out.pop(name, None)
    else:
        out[name] = value
