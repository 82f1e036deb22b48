"""Variables with fields and indexes behind them: what expressions read (cel-go's attributes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from .bounds import CostExceeded
from .gotext import shown
from .steps import COST, LIMIT, Frame, Step, charge
from .values import (
    MISSING,
    NO_OVERLOAD,
    NONE,
    EvaluationError,
    Growing,
    Joined,
    MapLike,
    Optional,
    find,
    is_list,
    type_of,
)

# of a value: what is at a field or index; ``optionally``: MISSING where nothing is
Qualifier = Callable[[Frame, Any, bool], Any]


@final
class Attribute:
    """A variable or value with fields and indexes behind it. ``conditional``: whose value costs nothing itself."""

    __slots__ = ("base", "cost", "qualifiers", "slot", "tests")

    def __init__(self, base: Step, cost: int = 1, slot: int = COST) -> None:
        """``slot``: where ``base`` reads it, if it is a variable."""
        self.base = base
        self.slot = slot
        self.cost = cost
        self.qualifiers: list[tuple[Qualifier, str, bool]] = []  # with the name of a field, and whether it is optional
        self.tests = False

    def field(self, name: str) -> None:
        self.qualifiers.append((fixed(name), name, False))

    def presence_of(self, name: str) -> None:
        self.qualifiers.append((tested(name), "", False))
        self.tests = True

    def __call__(self, frame: Frame) -> Any:
        try:
            return self.resolve(frame)
        finally:
            if not self.tests:
                frame[COST] += self.cost
                if frame[COST] > frame[LIMIT]:
                    raise CostExceeded

    def resolve(self, frame: Frame) -> Any:
        """Without its own cost."""
        value = frame[self.slot]
        if value.__class__ is not dict:  # what most variables are: as ``variable`` reads it, without a call
            value = self.base(frame)
        optionally = type(value) is Optional and bool(self.qualifiers)
        if optionally:
            if not value.present:
                return value
            value = value.value
        for qualify, name, optional in self.qualifiers:
            optionally = optionally or optional
            if (
                name and not optionally and value.__class__ is dict
            ):  # what nearly all of them are: as ``fixed``, without a call
                frame[COST] += 1
                if frame[COST] > frame[LIMIT]:
                    raise CostExceeded
                try:
                    value = value[name]
                except KeyError:
                    raise EvaluationError(f"no such key: {shown(name)}") from None
                continue
            value = qualify(frame, value, optionally)
            if value is MISSING:
                return NONE
        return Optional(value, True) if optionally else value


def _at(value: Any, key: Any, optionally: bool) -> Any:
    """A map's value or a list's element; MISSING where there is none and that is no error."""
    kind = type(value)
    if kind is dict or isinstance(value, MapLike):
        found = find(value, key)
        if found is not MISSING:
            return found
        if optionally:
            return MISSING
        raise EvaluationError(f"no such key: {shown(key)}")
    if is_list(value):
        index = _index(key)
        if 0 <= index < len(value):
            if isinstance(value, list):
                return value[index]
            if type(key) is not int and not isinstance(value, Joined):  # Kubernetes' own lists take no other numbers
                raise EvaluationError(f"unsupported index: {shown(key)}")
            return value.at(index)
        if optionally:
            return MISSING
        raise EvaluationError(f"index out of bounds: {shown(key)}")
    if optionally:
        return MISSING
    raise EvaluationError(f"no such key: {shown(key)}")


def _index(key: Any) -> int:
    if isinstance(key, bool) or not isinstance(key, int | float):
        raise EvaluationError(f"unsupported index type '{type_of(key).name}' in list")
    if isinstance(key, float) and not (key == key and abs(key) < 2**63 and key.is_integer()):
        raise EvaluationError(f"unsupported index value {shown(key)} in list")
    return int(key)


def fixed(key: Any) -> Qualifier:
    def qualify(frame: Frame, value: Any, optionally: bool) -> Any:
        if optionally:  # what is not there costs nothing
            found = _at(value, key, True)
            if found is not MISSING:
                charge(frame, 1)
            return found
        charge(frame, 1)
        return _at(value, key, False)

    return qualify


def computed(index: Step) -> Qualifier:
    def qualify(frame: Frame, value: Any, optionally: bool) -> Any:
        try:
            key = index(frame)
        except EvaluationError:
            charge(frame, 0 if optionally else 1)
            raise
        if optionally:
            found = _at(value, key, True)
            if found is not MISSING:
                charge(frame, 1)
            return found
        charge(frame, 1)
        return _at(value, key, False)

    return qualify


def tested(key: str) -> Qualifier:
    """Whether a field is there."""

    def qualify(frame: Frame, value: Any, optionally: bool) -> Any:
        found = key in value if type(value) is dict else _at(value, key, True) is not MISSING
        if found or not optionally:
            charge(frame, 1)
        return found

    return qualify


class Lazy:
    """The start of a comprehension's result, evaluated when it is first asked for."""

    __slots__ = ("init",)

    def __init__(self, init: Step) -> None:
        self.init = init


def variable(slot: int, name: str) -> Step:
    def read(frame: Frame) -> Any:
        value = frame[slot]
        kind = type(value)
        if kind is Lazy:
            value = value.init(frame)
            if type(value) is list and not value:
                value = Growing()
            elif type(value) is dict and not value:
                value = {}
            frame[slot] = value
        elif kind is EvaluationError:
            raise value
        elif value is MISSING:
            raise EvaluationError(f"no such attribute(s): {name}")
        return value

    return read


def presence(attribute: Attribute) -> Step:
    def test(frame: Frame) -> Any:
        value = attribute(frame)
        return value.present and value.value is True if type(value) is Optional else value

    return test


def conditional(test: Step, then: Step, otherwise: Step) -> Step:
    """An attribute that costs nothing itself, and whose branches neither, where they are attributes."""
    left = then.resolve if isinstance(then, Attribute) else then
    right = otherwise.resolve if isinstance(otherwise, Attribute) else otherwise

    def run(frame: Frame) -> Any:
        value = test(frame)
        if value is True:
            return left(frame)
        if value is False:
            return right(frame)
        raise EvaluationError(NO_OVERLOAD)

    return Attribute(run, 0)
