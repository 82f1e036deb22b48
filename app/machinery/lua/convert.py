"""What Lua cannot tell apart: an empty table is an empty list and an empty object.

The answer of a script is read with empty tables as lists. Those that one of the objects it was made from has at the same path
(list indexes left out) become what they are there; others are dropped, as Karmada does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Path = tuple[str, ...]


class _Empty(NamedTuple):
    lists: set[Path]
    objects: set[Path]


def restore_empty(answer: Any, references: Iterable[Any] = (), *, is_object: bool = True) -> Any:
    """``is_object``: the answer as a whole is meant to be an object. Changes ``answer``."""
    if answer == []:
        return {} if is_object else []
    known = _Empty(set(), set())
    for reference in references:
        for path, value in _empties(reference, ()):
            (known.lists if isinstance(value, list) else known.objects).add(path)
    _restore(answer, (), known)
    return answer


def _steps(value: Any, path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """(key or index, value, path) of what is directly in ``value``."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key, each, (*path, key)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield index, each, path


def _empties(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    for _, each, at in _steps(value, path):
        if each in ([], {}):
            yield at, each
        else:
            yield from _empties(each, at)


def _restore(value: Any, path: Path, known: _Empty) -> None:
    dropped = []
    for key, each, at in _steps(value, path):
        if each != []:
            _restore(each, at, known)
        elif at in known.objects:
            value[key] = {}
        elif at not in known.lists:
            dropped.append(key)
    for key in reversed(dropped):
        del value[key]
