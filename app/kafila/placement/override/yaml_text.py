"""YAML text in fields of objects, written as sigs.k8s.io/yaml does."""

from __future__ import annotations

from typing import Any, Final

from kafila.machinery.yamlout import dump, is_plain

_OLD_BOOLEANS: Final = frozenset("yYnN")


def _style(text: str) -> str | None:
    if "\n" in text:
        return "|"
    # What some reader may take for a number, a boolean or null has double quotes; other quoting is left to the emitter.
    return None if is_plain(text) and text not in _OLD_BOOLEANS else '"'


def dump_yaml(document: Any) -> str:
    return dump(document, _style, width=-1).decode()
