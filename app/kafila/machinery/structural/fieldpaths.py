"""Paths to fields within a structural schema, as rules and selectable fields name them: ``.spec.names['a b']``."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .props import Props, additional, properties

_ESCAPE: Final = re.compile(r"\\(.)", re.S)
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}
_TOKEN: Final = re.compile(r"[.\[\]]|[^.\[\]']+'*[^.\[\]]*|'(?:[^'\\]|\\.)*'?|'", re.S)


class PathProblem(Exception):
    """Its message is Kubernetes'."""


class Found(NamedTuple):
    path: str  # "spec.names[a b]"
    steps: tuple[str, ...]
    schema: Props


def field_at(path: str, schema: Props, *, arrays: bool = True) -> Found:
    """``arrays``: whether names may stand in brackets. Raises PathProblem."""
    steps: list[str] = []
    shown = ""
    tokens = _TOKEN.findall(path)
    at = 0

    def take() -> str:
        nonlocal at
        if at >= len(tokens):
            raise PathProblem("unexpected end of JSON path")
        at += 1
        return str(tokens[at - 1])

    while at < len(tokens):
        token = take()
        if token == "[":
            if not arrays:
                raise PathProblem("array notation is not allowed")
            name = _unquoted(take())
            schema, named = _below(schema, name)
            if (token := take()) != "]":
                raise PathProblem(f"expected ] but got {token}")
        elif token == ".":
            name = take()
            schema, named = _below(schema, name)
        else:
            raise PathProblem(f"expected [ or . but got: {token}")
        steps.append(name)
        shown += (f".{name}" if shown else name) if named else f"[{name}]"
    return Found(shown, tuple(steps), schema)


def _below(schema: Props, name: str) -> tuple[Props, bool]:
    """And whether it is a property."""
    if schema.get("properties"):
        found = properties(schema).get(name)
        if found is None:
            raise PathProblem("does not refer to a valid field")
        return found, True
    if schema.get("additionalProperties") not in (None, False):
        return additional(schema) or {}, False
    raise PathProblem("does not refer to a valid field")


def _unquoted(token: str) -> str:
    if len(token) < 2 or token[0] != "'" or token[-1] != "'":
        raise PathProblem(f"expected single quoted string but got {token}")

    def unescaped(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPED:
            raise PathProblem(f"invalid string literal: invalid escape char {found[0]}")
        return _ESCAPED[found[1]]

    return _ESCAPE.sub(unescaped, token[1:-1])
