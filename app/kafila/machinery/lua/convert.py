"""What Lua cannot tell apart: an empty table is an empty list and an empty object.

The answer of a script is read with empty tables as lists. Those that one of the objects it was made from has at the same path
(list indexes left out) become what they are there; others are dropped, as Karmada does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, final


@final
class _Known:
    """What the references have at one path."""

    __slots__ = ("empty_list", "empty_object", "inside")

    def __init__(self) -> None:
        self.empty_list = self.empty_object = False
        self.inside: dict[str, _Known] = {}


def restore_empty(answer: Any, references: Iterable[Any] = (), *, is_object: bool = True) -> Any:
    """``is_object``: the answer as a whole is meant to be an object. Changes ``answer``."""
    if answer == []:
        return {} if is_object else []
    assert isinstance(answer, dict | list)
    known = _Known()
    for reference in references:
        _learn(reference, known)
    _restore(answer, known)
    return answer


def _steps(container: Any) -> Iterator[tuple[Any, Any]]:
    return iter(container.items()) if isinstance(container, dict) else enumerate(container)


def _learn(reference: Any, known: _Known) -> None:
    todo = [(reference, known)]
    while todo:
        container, at = todo.pop()
        for key, each in _steps(container):
            if not isinstance(each, dict | list):
                continue
            found = at.inside.setdefault(key, _Known()) if isinstance(container, dict) else at
            if each:
                todo.append((each, found))
            elif isinstance(each, list):
                found.empty_list = True
            else:
                found.empty_object = True


def _restore(answer: Any, known: _Known) -> None:
    nothing = _Known()
    todo = [(answer, known)]
    while todo:
        container, at = todo.pop()
        dropped = set()
        for key, each in _steps(container):
            if not isinstance(each, dict | list):
                continue
            found = at.inside.get(key, nothing) if isinstance(container, dict) else at
            if each:
                todo.append((each, found))
            elif found.empty_object:
                container[key] = {}
            elif not found.empty_list:
                dropped.add(key)
        if dropped:
            _drop(container, dropped)


def _drop(container: Any, dropped: set[Any]) -> None:
    if isinstance(container, list):
        container[:] = [each for index, each in enumerate(container) if index not in dropped]
    else:
        for key in dropped:
            del container[key]
