"""Which overload takes which values, where types are known only at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .ast import Expr
from .declarations import Implementation, Library, Overload
from .types import Type
from .values import NO_OVERLOAD, EvaluationError, find, is_list, is_map, keys, type_of

# functions that look at their values themselves, and the types that they know
_NUMBERS: Final = frozenset(["int", "uint", "double"])
_SELF_CHECKED: Final[dict[str, frozenset[str]]] = {
    "_+_": _NUMBERS | {"string", "bytes", "list", "duration", "timestamp"},
    "_-_": _NUMBERS | {"duration", "timestamp"},
    "_*_": _NUMBERS,
    "_/_": _NUMBERS,
    "_%_": frozenset(["int", "uint"]),
    "-_": frozenset(["int", "double", "bool", "duration"]),
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _NUMBERS | {"string", "bytes", "bool", "duration", "timestamp"}),
    "size": frozenset(["string", "bytes", "list", "map"]),
    "matches": frozenset(["string"]),
    "sort": frozenset(["list"]),
    "@sortByAssociatedKeys": frozenset(["list"]),
}
_UNCHECKED: Final = frozenset(
    ["!_", "@in", "type", "dyn", "contains", "startsWith", "endsWith", "cel.@mapInsert", "optional.of"]
)
# types that answer any function with the same words
_RECEIVERS: Final = frozenset(["string", "duration", "timestamp"])
_VAGUE: Final = frozenset(["dyn", "any", "param", "error"])


def implementation(library: Library, name: str, overload: str, args: Sequence[Expr]) -> Implementation:
    """What runs for a call, with its arguments' types checked where they are not known. ``overload``: "" where several may fit."""
    overloads = [it for it in library.functions[name] if it.run is not None and len(it.args) == len(args)]
    chosen = next((it for it in overloads if it.id == overload), None)
    known = not any(_is_vague(arg.type) for arg in args)
    if name in _UNCHECKED or (known and chosen is not None):
        found = chosen or overloads[0]
        assert found.run is not None
        return found.run
    if name in _SELF_CHECKED:
        run = (chosen or overloads[0]).run
        assert run is not None
        return _self_checked(name, run)
    return _guarded(name, [chosen] if chosen is not None else overloads)


def _is_vague(kind: Type | None) -> bool:
    return kind is None or kind.kind in _VAGUE or any(_is_vague(part) for part in kind.params)


def _self_checked(name: str, run: Implementation) -> Implementation:
    known = _SELF_CHECKED[name]

    def checked(*args: Any) -> Any:
        kind = type_of(args[0]).kind
        if kind not in known:
            raise EvaluationError(NO_OVERLOAD if kind in _RECEIVERS else f"{NO_OVERLOAD}: {name}")
        return run(*args)

    return checked


def _guarded(name: str, overloads: list[Overload]) -> Implementation:
    def guarded(*args: Any) -> Any:
        for overload in overloads:
            if all(_takes(kind, value) for kind, value in zip(overload.args, args, strict=True)):
                assert overload.run is not None
                return overload.run(*args)
        raise EvaluationError(f"{NO_OVERLOAD}: {name}({', '.join(type_of(arg).name for arg in args)})")

    return guarded


def _takes(kind: Type, value: Any) -> bool:
    """As far as cel-go looks: at the first element of a container."""
    if kind.kind in _VAGUE:
        return True
    found = type_of(value)
    if (found.kind, found.name) != (kind.kind, kind.name):
        return False
    if is_list(value):
        return all(_takes(kind.params[0], part) for part in _first(value))
    if is_map(value):
        return all(
            _takes(kind.params[0], key) and _takes(kind.params[1], find(value, key)) for key in _first(keys(value))
        )
    return True


def _first(values: Any) -> list[Any]:
    for value in values:
        return [value]
    return []
