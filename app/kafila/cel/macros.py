"""Macros: calls that stand for a longer expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .ast import Call, Comprehension, Expr, Ident, ListExpr, Literal, MapExpr, Select, copied

ACCU: Final = "@result"
_RESERVED: Final = (ACCU, "__result__")
COPYING: Final = frozenset(["optMap", "optFlatMap"])  # their target stands twice in what they make
_UNUSED: Final = "#unused"

Expander = Callable[[int, "Expr | None", list[Expr]], "Expr | None"]  # None: it is no macro after all


class MacroProblem(Exception):
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class Macros:
    """By name, number of arguments and whether it is a method."""

    def __init__(self, table: dict[tuple[str, int, bool], Expander]) -> None:
        self._table = table

    def expanded(self, at: int, name: str, target: Expr | None, args: list[Expr]) -> Expr | None:
        """None for what is no macro. Raises MacroProblem."""
        expander = self._table.get((name, len(args), target is not None))
        return None if expander is None else expander(at, target, args)


def _variable(arg: Expr, message: str) -> str:
    if not isinstance(arg, Ident):
        raise MacroProblem(arg.at, message)
    if arg.name in _RESERVED:
        raise MacroProblem(arg.at, "iteration variable overwrites accumulator variable")
    return arg.name


def _variables(args: list[Expr]) -> tuple[str, str]:
    for arg in args[:2]:
        if not isinstance(arg, Ident):
            raise MacroProblem(arg.at, "argument must be a simple name")
    first, second = (arg.name for arg in args[:2] if isinstance(arg, Ident))
    if first == second:
        raise MacroProblem(args[1].at, f"duplicate variable name: {first}")
    return _variable(args[0], ""), _variable(args[1], "")


def _has(at: int, target: Expr | None, args: list[Expr]) -> Expr:
    arg = args[0]
    if not isinstance(arg, Select):
        raise MacroProblem(arg.at, "invalid argument to has() macro")
    return Select(at, arg.operand, arg.field_name, True)


def _all(at: int, over: Expr, names: tuple[str, str], test: Expr) -> Expr:
    condition = Call(at, "@not_strictly_false", [Ident(at, ACCU)])
    step = Call(at, "_&&_", [Ident(at, ACCU), test])
    return Comprehension(at, over, *names, ACCU, Literal(at, True), condition, step, Ident(at, ACCU))


def _exists(at: int, over: Expr, names: tuple[str, str], test: Expr) -> Expr:
    condition = Call(at, "@not_strictly_false", [Call(at, "!_", [Ident(at, ACCU)])])
    step = Call(at, "_||_", [Ident(at, ACCU), test])
    return Comprehension(at, over, *names, ACCU, Literal(at, False), condition, step, Ident(at, ACCU))


def _exists_one(at: int, over: Expr, names: tuple[str, str], test: Expr) -> Expr:
    step = Call(at, "_?_:_", [test, Call(at, "_+_", [Ident(at, ACCU), Literal(at, 1)]), Ident(at, ACCU)])
    result = Call(at, "_==_", [Ident(at, ACCU), Literal(at, 1)])
    return Comprehension(at, over, *names, ACCU, Literal(at, 0), Literal(at, True), step, result)


def _collected(at: int, over: Expr, names: tuple[str, str], init: Expr, test: Expr | None, step: Expr) -> Expr:
    if test is not None:
        step = Call(at, "_?_:_", [test, step, Ident(at, ACCU)])
    return Comprehension(at, over, *names, ACCU, init, Literal(at, True), step, Ident(at, ACCU))


def _appended(at: int, element: Expr) -> Expr:
    return Call(at, "_+_", [Ident(at, ACCU), ListExpr(at, [element])])


Quantifier = Callable[[int, Expr, tuple[str, str], Expr], Expr]


def _one(quantifier: Quantifier) -> Expander:
    def expand(at: int, target: Expr | None, args: list[Expr]) -> Expr:
        assert target is not None
        return quantifier(at, target, (_variable(args[0], "argument must be a simple name"), ""), args[1])

    return expand


def _two(quantifier: Quantifier) -> Expander:
    def expand(at: int, target: Expr | None, args: list[Expr]) -> Expr:
        assert target is not None
        return quantifier(at, target, _variables(args), args[2])

    return expand


def _map(at: int, target: Expr | None, args: list[Expr]) -> Expr:
    assert target is not None
    name = _variable(args[0], "argument is not an identifier")
    test = args[1] if len(args) == 3 else None
    return _collected(at, target, (name, ""), ListExpr(at, []), test, _appended(at, args[-1]))


def _filter(at: int, target: Expr | None, args: list[Expr]) -> Expr:
    assert target is not None
    name = _variable(args[0], "argument is not an identifier")
    return _collected(at, target, (name, ""), ListExpr(at, []), args[1], _appended(at, args[0]))


def _transform_list(at: int, target: Expr | None, args: list[Expr]) -> Expr:
    assert target is not None
    names = _variables(args)
    test = args[2] if len(args) == 4 else None
    return _collected(at, target, names, ListExpr(at, []), test, _appended(at, args[-1]))


def _transform_map(at: int, target: Expr | None, args: list[Expr]) -> Expr:
    assert target is not None
    names = _variables(args)
    test = args[2] if len(args) == 4 else None
    step = Call(at, "cel.@mapInsert", [Ident(at, ACCU), Ident(at, names[0]), args[-1]])
    return _collected(at, target, names, MapExpr(at, []), test, step)


def _transform_map_entry(at: int, target: Expr | None, args: list[Expr]) -> Expr:
    assert target is not None
    names = _variables(args)
    test = args[2] if len(args) == 4 else None
    step = Call(at, "cel.@mapInsert", [Ident(at, ACCU), args[-1]])
    return _collected(at, target, names, MapExpr(at, []), test, step)


def bound(at: int, name: str, value: Expr, body: Expr) -> Expr:
    """``body`` with a name for ``value``: a comprehension over nothing."""
    return Comprehension(at, ListExpr(at, []), _UNUSED, "", name, value, Literal(at, False), Ident(at, name), body)


def _bind(at: int, target: Expr | None, args: list[Expr]) -> Expr | None:
    if not isinstance(target, Ident) or target.name != "cel":
        return None
    if not isinstance(args[0], Ident):
        raise MacroProblem(args[0].at, "cel.bind() variable names must be simple identifiers")
    return bound(at, args[0].name, args[1], args[2])


def _opt_map(flat: bool) -> Expander:
    macro = "optFlatMap" if flat else "optMap"

    def expand(at: int, target: Expr | None, args: list[Expr]) -> Expr:
        assert target is not None
        if not isinstance(args[0], Ident):
            raise MacroProblem(args[0].at, f"{macro}() variable name must be a simple identifier")
        value = Call(at, "value", [], copied(target))
        mapped = bound(at, args[0].name, value, args[1])
        then = mapped if flat else Call(at, "optional.of", [mapped])
        return Call(at, "_?_:_", [Call(at, "hasValue", [], target), then, Call(at, "optional.none", [])])

    return expand


def _sort_by(at: int, target: Expr | None, args: list[Expr]) -> Expr:
    assert target is not None
    if isinstance(target, Literal | MapExpr):
        message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression"
        raise MacroProblem(target.at, message)
    name = "@__sortBy_input__"
    keys = _map(at, Ident(at, name), args)
    return bound(at, name, target, Call(at, "@sortByAssociatedKeys", [keys], Ident(at, name)))


STANDARD: Final[dict[tuple[str, int, bool], Expander]] = {
    ("has", 1, False): _has,
    ("all", 2, True): _one(_all),
    ("exists", 2, True): _one(_exists),
    ("exists_one", 2, True): _one(_exists_one),
    ("map", 2, True): _map,
    ("map", 3, True): _map,
    ("filter", 2, True): _filter,
}
OPTIONALS: Final[dict[tuple[str, int, bool], Expander]] = {
    ("optMap", 2, True): _opt_map(False),
    ("optFlatMap", 2, True): _opt_map(True),
}
TWO_VARIABLES: Final[dict[tuple[str, int, bool], Expander]] = {
    ("all", 3, True): _two(_all),
    ("exists", 3, True): _two(_exists),
    ("existsOne", 3, True): _two(_exists_one),
    ("exists_one", 3, True): _two(_exists_one),
    ("transformList", 3, True): _transform_list,
    ("transformList", 4, True): _transform_list,
    ("transformMap", 3, True): _transform_map,
    ("transformMap", 4, True): _transform_map,
    ("transformMapEntry", 3, True): _transform_map_entry,
    ("transformMapEntry", 4, True): _transform_map_entry,
}
LISTS: Final[dict[tuple[str, int, bool], Expander]] = {("sortBy", 2, True): _sort_by}
BINDINGS: Final[dict[tuple[str, int, bool], Expander]] = {("bind", 3, True): _bind}
