"""JSON values written as YAML, part by part.

libyaml's serializer writes a whole document while nobody else may work, a second for 5 MB; its emitter takes one part at a time.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

_TAG: Final = "tag:yaml.org,2002:"
_TEXT: Final = f"{_TAG}str"
_OLD_BOOLEANS: Final = frozenset("yYnN")
_resolve: Final[Callable[..., str]] = yaml.resolver.Resolver().resolve


def is_plain(text: str) -> bool:
    """Whether it is read back as the same text without quotes, as far as numbers, booleans, dates and null go."""
    return bool(_resolve(yaml.ScalarNode, text, (True, False)) == _TEXT)


def _style(text: str) -> str | None:
    return None


def _text_style(text: str) -> str | None:
    if "\n" in text:
        return "|"
    # What some reader may take for a number, a boolean or null has double quotes; other quoting is left to the emitter.
    return None if is_plain(text) and text not in _OLD_BOOLEANS else '"'


def dump_text(value: Any) -> str:
    """YAML text in files and in fields of objects, written as sigs.k8s.io/yaml does."""
    return dump(value, _text_style, width=-1).decode()


def dump(value: Any, style: Callable[[str], str | None] = _style, width: int | None = None) -> bytes:
    """One document, names sorted. ``style`` says how a text is written (``|``, ``"``), None leaves it to the emitter;
    ``width``: where long texts are folded, -1 for nowhere."""
    stream = io.BytesIO()
    emitter: Any = yaml.CSafeDumper(stream, allow_unicode=True, encoding="utf-8", width=width)
    try:
        emit = emitter.emit
        emit(StreamStartEvent(encoding="utf-8"))
        emit(DocumentStartEvent(explicit=False))
        _write(value, emit, style)
        emit(DocumentEndEvent(explicit=False))
        emit(StreamEndEvent())
    finally:
        emitter.dispose()
    return stream.getvalue()


def _write(value: Any, emit: Any, style: Callable[[str], str | None]) -> None:
    if isinstance(value, dict):
        emit(MappingStartEvent(None, f"{_TAG}map", True, flow_style=False))
        for key in sorted(value):
            _write(key, emit, style)
            _write(value[key], emit, style)
        emit(MappingEndEvent())
    elif isinstance(value, list):
        emit(SequenceStartEvent(None, f"{_TAG}seq", True, flow_style=False))
        for item in value:
            _write(item, emit, style)
        emit(SequenceEndEvent())
    elif isinstance(value, str):
        emit(ScalarEvent(None, _TEXT, (is_plain(value), True), value, style=style(value)))
    else:
        node = _representer.represent_data(value)
        emit(ScalarEvent(None, node.tag, (True, False), node.value))


_representer: Final = yaml.representer.SafeRepresenter()  # of numbers, booleans and null: it remembers nothing of them
