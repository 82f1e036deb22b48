"""What may stand where which type is asked for, with type parameters bound on the way (cel-go's checker/types.go)."""

from __future__ import annotations

from .types import DYN, Type, is_dyn, is_dyn_or_error


class Mapping(dict[str, Type]):
    """Name of a type parameter -> what it stands for. Remembers what was before, so that a failed attempt leaves no trace."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[tuple[str, Type | None]] = []

    def bind(self, name: str, kind: Type) -> None:
        self._before.append((name, self.get(name)))
        self[name] = kind

    def undo(self) -> None:
        while self._before:
            name, kind = self._before.pop()
            if kind is None:
                del self[name]
            else:
                self[name] = kind

    def keep(self) -> None:
        self._before.clear()


_NULLABLE = frozenset(["opaque", "struct", "any", "duration", "timestamp", "null"])
_CONTAINERS = ("opaque", "list", "map")


def assignable(mapping: Mapping, first: Type, second: Type) -> bool:
    """Whether it fits; the mapping is changed only where it does."""
    return assignable_all(mapping, (first,), (second,))


def assignable_all(mapping: Mapping, first: tuple[Type, ...], second: tuple[Type, ...]) -> bool:
    fits = _all(mapping, first, second)
    if fits:
        mapping.keep()
    else:
        mapping.undo()
    return fits


def _all(mapping: Mapping, first: tuple[Type, ...], second: tuple[Type, ...]) -> bool:
    return len(first) == len(second) and all(_fits(mapping, *pair) for pair in zip(first, second, strict=True))


def _fits(mapping: Mapping, first: Type, second: Type) -> bool:
    if second.kind == "param":
        valid, bound = _substituted(mapping, first, second)
        if valid or bound:
            return valid
    if first.kind == "param":
        return _substituted(mapping, second, first)[0]
    if is_dyn_or_error(first) or is_dyn_or_error(second):
        return True
    if first.kind == "null":
        return second.kind in _NULLABLE
    if second.kind == "null":
        return first.kind in _NULLABLE
    if first.kind == "type":
        return second.kind == "type"
    if first.kind in _CONTAINERS:
        same = first.kind == second.kind and first.name == second.name
        return same and _all(mapping, first.params, second.params)
    return first.kind == second.kind and first.name == second.name


def _substituted(mapping: Mapping, wanted: Type, parameter: Type) -> tuple[bool, bool]:
    """Whether the parameter can stand for it, and whether it stood for something before."""
    if wanted == parameter:
        return True, True
    bound = mapping.get(parameter.name)
    if bound is not None:
        if wanted == bound:
            return True, True
        if not _fits(mapping, wanted, bound):
            return False, True
        general = most_general(wanted, bound)
        if _unreferenced(mapping, parameter, general):
            mapping.bind(parameter.name, general)
        return True, True
    if _unreferenced(mapping, parameter, wanted):
        mapping.bind(parameter.name, wanted)
        return True, False
    return False, False


def _unreferenced(mapping: Mapping, parameter: Type, within: Type) -> bool:
    if parameter == within:
        return False
    if within.kind == "param":
        bound = mapping.get(within.name)
        return bound is None or _unreferenced(mapping, parameter, bound)
    return all(_unreferenced(mapping, parameter, part) for part in within.params)


def most_general(first: Type, second: Type) -> Type:
    return first if _less_specific(first, second) else second


def _less_specific(first: Type, second: Type) -> bool:
    if is_dyn(first) or first.kind == "param":
        return True
    if is_dyn(second) or second.kind == "param" or first.kind != second.kind:
        return False
    if first.kind == "type":
        return True
    if first.kind in _CONTAINERS:
        if first.name != second.name or len(first.params) != len(second.params):
            return False
        return all(_less_specific(*pair) for pair in zip(first.params, second.params, strict=True))
    return first == second


def substituted(mapping: Mapping, kind: Type, *, free_is_dyn: bool = False) -> Type:
    """With its parameters replaced by what they stand for."""
    while kind.kind == "param" and kind.name in mapping:
        kind = mapping[kind.name]
    if kind.kind == "param":
        return DYN if free_is_dyn else kind
    if not kind.params:
        return kind
    params = tuple(substituted(mapping, part, free_is_dyn=free_is_dyn) for part in kind.params)
    return Type(kind.kind, kind.name, params)


def instantiated(kind: Type, fresh: dict[str, Type]) -> Type:
    """With the parameters of a declaration replaced by fresh ones."""
    if kind.kind == "param":
        return fresh.get(kind.name, kind)
    if not kind.params:
        return kind
    return Type(kind.kind, kind.name, tuple(instantiated(part, fresh) for part in kind.params))
