"""What a library brings: functions with overloads, constants, macros and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .macros import Expander
from .types import Type

Implementation = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Overload:
    """``run`` gets the values of the arguments, the target first; it raises EvaluationError."""

    id: str
    args: tuple[Type, ...]
    result: Type
    run: Implementation | None
    member: bool = False


@dataclass(frozen=True, slots=True)
class Library:
    """``functions``: name -> overloads in the order in which they are tried."""

    name: str
    functions: dict[str, tuple[Overload, ...]] = field(default_factory=dict)
    constants: dict[str, Type] = field(default_factory=dict)  # names of types
    macros: dict[tuple[str, int, bool], Expander] = field(default_factory=dict)


def overload(id: str, args: Sequence[Type], result: Type, run: Implementation | None = None) -> Overload:
    return Overload(id, tuple(args), result, run)


def member(id: str, args: Sequence[Type], result: Type, run: Implementation | None = None) -> Overload:
    return Overload(id, tuple(args), result, run, True)


def merged(libraries: Sequence[Library]) -> Library:
    """All as one; what two bring of one name stands in their order."""
    functions: dict[str, tuple[Overload, ...]] = {}
    constants: dict[str, Type] = {}
    macros: dict[tuple[str, int, bool], Expander] = {}
    for library in libraries:
        for name, overloads in library.functions.items():
            functions[name] = functions.get(name, ()) + overloads
        constants |= library.constants
        macros |= library.macros
    return Library("all", functions, constants, macros)
