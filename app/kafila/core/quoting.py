"""Texts in quotes as Go's ``%q`` writes them: messages of Kubernetes show names, groups and paths so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quoted(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escaped, text)) + '"'


def quoted_list(texts: Iterable[str]) -> str:
    """``["a" "b"]``: a slice of strings."""
    return "[" + " ".join(map(quoted, texts)) + "]"


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
