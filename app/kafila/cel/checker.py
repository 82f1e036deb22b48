"""Gives every part of an expression its type (cel-go's checker), and finds what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, final

from .assignable import Mapping as Bindings
from .assignable import assignable, assignable_all, instantiated, most_general, substituted
from .ast import Call, Comprehension, Expr, Ident, ListExpr, Literal, MapExpr, Select, Struct, qualified_name
from .declarations import Library, Overload
from .source import Issue
from .types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    ERROR,
    INT,
    NULL,
    STRING,
    UINT,
    Type,
    is_dyn,
    is_dyn_or_error,
    list_of,
    map_of,
    optional,
    param,
    type_of,
    unwrapped,
)
from .values import Uint

_LITERALS: Final[dict[type, Type]] = {
    bool: BOOL,
    bytes: BYTES,
    float: DOUBLE,
    int: INT,
    Uint: UINT,
    str: STRING,
    type(None): NULL,
}


class Structs(Protocol):
    """Types of objects by name."""

    def field(self, type_name: str, name: str) -> Type | None: ...

    def __contains__(self, type_name: object) -> bool: ...


@final
class Checker:
    """Of one expression; ``issues`` are there after ``check``."""

    def __init__(self, variables: Mapping[str, Type], library: Library, structs: Structs) -> None:
        self._scopes: list[Mapping[str, Type]] = [variables]
        self._library = library
        self._structs = structs
        self._mapping = Bindings()
        self._free = 0
        self._typed: list[Expr] = []
        self.issues: list[Issue] = []

    def check(self, root: Expr) -> None:
        self._check(root)
        for node in self._typed:
            node.type = substituted(self._mapping, node.type or ERROR, free_is_dyn=True)

    def _say(self, node: Expr, message: str) -> None:
        self.issues.append(Issue(node.at, message))

    def _set(self, node: Expr, kind: Type) -> Type:
        node.type = kind
        self._typed.append(node)
        return kind

    def _fits(self, wanted: Type, given: Type) -> bool:
        return assignable(self._mapping, wanted, given)

    def _fresh(self) -> Type:
        self._free += 1
        return param(f"_var{self._free - 1}")

    def _check(self, node: Expr) -> Type:
        if isinstance(node, Literal):
            kind = _LITERALS[type(node.value)]
        elif isinstance(node, Ident):
            kind = self._identifier(node)
        elif isinstance(node, Select):
            kind = self._selected(node)
        elif isinstance(node, Call):
            kind = self._called(node)
        elif isinstance(node, ListExpr):
            kind = self._list(node)
        elif isinstance(node, MapExpr):
            kind = self._map(node)
        elif isinstance(node, Struct):
            kind = self._struct(node)
        else:
            assert isinstance(node, Comprehension)
            kind = self._comprehension(node)
        return self._set(node, kind)

    def _declared(self, name: str) -> Type | None:
        name = name.removeprefix(".")
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        if name in self._library.constants:
            return type_of(self._library.constants[name])
        return type_of(Type("struct", name)) if name in self._structs else None

    def _identifier(self, node: Ident) -> Type:
        found = self._declared(node.name)
        if found is None:
            self._say(node, f"undeclared reference to '{node.name}' (in container '')")
            return ERROR
        node.name = node.name.removeprefix(".")
        return found

    def _selected(self, node: Select) -> Type:
        name = qualified_name(node)
        if name and (found := self._declared(name)) is not None:
            node.resolved = name
            return found
        result = self._field(node, node.operand, node.field_name, optionally=False)
        return BOOL if node.test_only else substituted(self._mapping, result)

    def _field(self, node: Expr, operand: Expr, name: str, *, optionally: bool) -> Type:
        target, was_optional = unwrapped(substituted(self._mapping, self._check(operand)))
        result = ERROR
        if target.kind == "map":
            result = target.params[1] if target.params else DYN
        elif target.kind == "struct":
            result = self._struct_field(node.at, target.name, name)
        elif target.kind == "param":
            self._fits(DYN, target)
            result = DYN
        else:
            if not is_dyn_or_error(target):
                self._say(node, f"type '{target}' does not support field selection")
            result = DYN
        return optional(result) if was_optional or optionally else result

    def _struct_field(self, at: int, struct: str, name: str) -> Type:
        if struct not in self._structs:
            self.issues.append(Issue(at, f"unexpected failed resolution of '{struct}'"))
            return ERROR
        found = self._structs.field(struct, name)
        if found is None:
            self.issues.append(Issue(at, f"undefined field '{name}'"))
            return ERROR
        return found

    def _called(self, node: Call) -> Type:
        if node.function == "_?._":
            field = node.args[1]
            assert isinstance(field, Literal)
            result = self._field(node, node.args[0], field.value, optionally=True)
            self._set(field, STRING)
            node.overloads = ("select_optional_field",)
            return substituted(self._mapping, result)
        args = []
        for arg in node.args:  # no comprehension: it would take a frame of the stack for each level
            args.append(self._check(arg))
        functions = self._library.functions
        if node.target is not None:
            prefix = qualified_name(node.target)
            name = f"{prefix}.{node.function}".removeprefix(".")
            if prefix and name in functions:
                node.function, node.target = name, None
            else:
                args = [self._check(node.target), *args]
        else:
            node.function = node.function.removeprefix(".")
        if node.function not in functions:
            self._say(node, f"undeclared reference to '{node.function}' (in container '')")
            return ERROR
        return self._resolved(node, functions[node.function], tuple(args))

    def _resolved(self, node: Call, overloads: tuple[Overload, ...], args: tuple[Type, ...]) -> Type:
        if node.function in ("_&&_", "_||_"):
            return self._logical(node, overloads[0].id, args)
        result: Type | None = None
        found: list[str] = []
        for overload in overloads:
            if overload.member != (node.target is not None) or len(overload.args) != len(args):
                continue
            wanted, returned = self._instance(overload)
            if not assignable_all(self._mapping, args, wanted):
                continue
            found.append(overload.id)
            kind = substituted(self._mapping, returned)
            if result is None:
                result = kind
            elif not is_dyn(result) and kind != result:
                result = DYN
        if result is None:
            shown = [str(substituted(self._mapping, arg, free_is_dyn=True)) for arg in args]
            target = f"{shown.pop(0)}." if node.target is not None else ""
            signature = f"{target}({', '.join(shown)})"
            self._say(node, f"found no matching overload for '{node.function}' applied to '{signature}'")
            return ERROR
        node.overloads = tuple(found)
        return result

    def _logical(self, node: Call, overload: str, args: tuple[Type, ...]) -> Type:
        fits = True
        for arg, kind in zip(node.args, args, strict=True):
            if not self._fits(kind, BOOL):
                self._say(arg, f"expected type 'bool' but found '{kind}'")
                fits = False
        node.overloads = (overload,) if fits else ()
        return BOOL if fits else ERROR

    def _instance(self, overload: Overload) -> tuple[tuple[Type, ...], Type]:
        names = sorted(_parameters((*overload.args, overload.result)))
        if not names:
            return overload.args, overload.result
        fresh = {name: self._fresh() for name in names}
        return tuple(instantiated(arg, fresh) for arg in overload.args), instantiated(overload.result, fresh)

    def _element(self, node: Expr, *, optionally: bool) -> Type:
        kind = self._check(node)
        if not optionally:
            return kind
        inner, is_optional = unwrapped(kind)
        if not is_optional and not is_dyn(inner):
            self._mismatch(node, optional(inner), inner)
        return inner

    def _mismatch(self, node: Expr, wanted: Type, given: Type) -> None:
        self._say(node, f"expected type '{wanted}' but found '{given}'")

    def _join(self, previous: Type | None, kind: Type) -> Type:
        """What both are; that literals are of one type is looked at afterwards (``validators``)."""
        if previous is None:
            return kind
        return most_general(previous, kind) if self._fits(previous, kind) else DYN

    def _list(self, node: ListExpr) -> Type:
        kind: Type | None = None
        for index, element in enumerate(node.elements):
            kind = self._join(kind, self._element(element, optionally=index in node.optionals))
        return list_of(self._fresh() if kind is None else kind)

    def _map(self, node: MapExpr) -> Type:
        key: Type | None = None
        value: Type | None = None
        for entry in node.entries:
            key = self._join(key, self._check(entry.key))
            value = self._join(value, self._element(entry.value, optionally=entry.optional))
        if key is None or value is None:
            return map_of(self._fresh(), self._fresh())
        return map_of(key, value)

    def _struct(self, node: Struct) -> Type:
        name = node.type_name.removeprefix(".")
        found = self._declared(name)
        if found is None:
            self._say(node, f"undeclared reference to '{node.type_name}' (in container '')")
            return ERROR
        node.type_name = name
        result = ERROR
        if found.kind != "type":
            self._say(node, f"'{found.name}' is not a type")
        elif found.params[0].kind == "struct":
            result = found.params[0]
        else:
            self._say(node, f"'{found.params[0].name}' is not a message type")
        for entry in node.entries:
            given = self._element(entry.value, optionally=entry.optional)
            wanted = self._struct_field(entry.at, name, entry.key)
            if not self._fits(wanted, given):
                text = f"expected type of field '{entry.key}' is '{wanted}' but provided type is '{given}'"
                self.issues.append(Issue(entry.at, text))
        return result

    def _comprehension(self, node: Comprehension) -> Type:
        over = self._check(node.range)
        accu = self._check(node.init)
        over = substituted(self._mapping, over)
        first, second = self._iterated(node, over)
        names = {node.var: first, node.var2: second} if node.var2 else {node.var: first}
        self._scopes += [{node.accu: accu}, names]
        self._assert(node.condition, self._check(node.condition), BOOL)
        self._assert(node.step, self._check(node.step), accu)
        self._scopes.pop()
        result = self._check(node.result)
        self._scopes.pop()
        return substituted(self._mapping, result)

    def _iterated(self, node: Comprehension, over: Type) -> tuple[Type, Type]:
        """Types of both variables."""
        if over.kind == "list":
            return (INT, over.params[0]) if node.var2 else (over.params[0], DYN)
        if over.kind == "map":
            return over.params[0], over.params[1]
        if over.kind in ("dyn", "error", "param"):
            self._fits(DYN, over)
            return DYN, DYN
        message = f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)"
        self._say(node.range, message)
        return ERROR, ERROR

    def _assert(self, node: Expr, kind: Type, wanted: Type) -> None:
        if not self._fits(wanted, kind):
            self._mismatch(node, wanted, kind)


def _parameters(kinds: tuple[Type, ...]) -> set[str]:
    out: set[str] = set()
    todo = list(kinds)
    while todo:
        kind = todo.pop()
        if kind.kind == "param":
            out.add(kind.name)
        todo.extend(kind.params)
    return out
