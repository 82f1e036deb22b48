"""The closures that an expression is made of; each counts what it costs (cel-go's interpreter and cost tracker).

A closure gets the *frame*: ``[cost, limit, variables …]``. Costs are counted for what fails too, as cel-go does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, final

from .actual_cost import cost_of_call
from .declarations import Implementation
from .gotext import shown
from .values import (
    MISSING,
    NO_OVERLOAD,
    NONE,
    CostExceeded,
    EvaluationError,
    Growing,
    Joined,
    MapLike,
    Optional,
    equal,
    find,
    is_list,
    key_of,
    type_of,
)

Frame = list[Any]
Step = Callable[[Frame], Any]
Cost = Callable[[Any], int]
# of a value: what is at a field or index; ``optionally``: MISSING where nothing is
Qualifier = Callable[[Frame, Any, bool], Any]

COST: Final = 0
LIMIT: Final = 1
FIRST_VARIABLE: Final = 2
LIST_COST: Final = 10
MAP_COST: Final = 30
STRUCT_COST: Final = 40


class Maker(Protocol):
    """Makes an object of a type from its fields. Raises EvaluationError."""

    def make(self, type_name: str, fields: dict[str, Any]) -> Any: ...


def charge(frame: Frame, cost: int) -> None:
    frame[COST] += cost
    if frame[COST] > frame[LIMIT]:
        raise CostExceeded


@final
class Constant:
    """A step whose value is known."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, frame: Frame) -> Any:
        return self.value


@final
class Fixed:
    """A step whose value is known, but costs something."""

    __slots__ = ("cost", "value")

    def __init__(self, value: Any, cost: int) -> None:
        self.value = value
        self.cost = cost

    def __call__(self, frame: Frame) -> Any:
        charge(frame, self.cost)
        return self.value


@final
class Attribute:
    """A variable or value with fields and indexes behind it. ``conditional``: whose value costs nothing itself."""

    __slots__ = ("base", "cost", "qualifiers", "tests")

    def __init__(self, base: Step, cost: int = 1) -> None:
        self.base = base
        self.cost = cost
        self.qualifiers: list[tuple[Qualifier, bool]] = []  # with whether it is optional
        self.tests = False

    def __call__(self, frame: Frame) -> Any:
        try:
            return self.resolve(frame)
        finally:
            if not self.tests:
                charge(frame, self.cost)

    def resolve(self, frame: Frame) -> Any:
        """Without its own cost."""
        value = self.base(frame)
        optionally = type(value) is Optional and bool(self.qualifiers)
        if optionally:
            if not value.present:
                return value
            value = value.value
        for qualify, optional in self.qualifiers:
            optionally = optionally or optional
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
    named = type(key) is str

    def qualify(frame: Frame, value: Any, optionally: bool) -> Any:
        if named and not optionally and type(value) is dict:  # as below, of what nearly all of them are
            charge(frame, 1)
            if key in value:
                return value[key]
            raise EvaluationError(f"no such key: {shown(key)}")
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


def logical(left: Step, right: Step, absorbing: bool) -> Step:
    """``||`` where ``absorbing`` is True, ``&&`` where it is False: that value wins over errors."""

    def run(frame: Frame) -> Any:
        problem = None
        for step in (left, right):
            try:
                value = step(frame)
            except EvaluationError as raised:
                problem = problem or raised
                continue
            if value is absorbing:
                return absorbing
            if value is not (not absorbing):
                problem = problem or EvaluationError(NO_OVERLOAD)
        if problem is not None:
            raise problem
        return not absorbing

    return run


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


def _both(left: Step, right: Step, frame: Frame, cost: Cost) -> tuple[Any, Any]:
    """Both values, charged. What fails is charged too, and the first failure raised after both were evaluated."""
    problem: EvaluationError | None = None
    first: Any = 0
    second: Any = 0
    try:
        first = left(frame)
    except EvaluationError as raised:
        problem = raised
    try:
        second = right(frame)
    except EvaluationError as raised:
        problem = problem or raised
    args = first, second
    charge(frame, cost(args))
    if problem is not None:
        raise problem
    return args


def equality(name: str, left: Step, right: Step) -> Step:
    cost = cost_of_call(name, "equals" if name == "_==_" else "not_equals")
    wanted = name == "_==_"

    def run(frame: Frame) -> Any:
        first, second = _both(left, right, frame, cost)
        try:
            return equal(first, second) is wanted
        except EvaluationError:
            if wanted:
                raise
            return True  # an error is not equal

    return run


def not_strictly_false(step: Step) -> Step:
    def run(frame: Frame) -> Any:
        try:
            value = step(frame)
        except EvaluationError:
            value = True
        charge(frame, 1)
        return value if type(value) is bool else True

    return run


def otherwise(left: Step, right: Step, unwrap: bool) -> Step:
    def run(frame: Frame) -> Any:
        value = left(frame)
        if type(value) is not Optional:
            return value
        if value.present:
            return value.value if unwrap else value
        return right(frame)

    return run


def membership(step: Step, values: Any) -> Step | None:
    """``in`` a list of constants: a look-up, which costs nothing. None where they are of other types."""
    if not all(isinstance(value, str | bool | int | float) for value in values):
        return None
    if not values:
        return Constant(False)
    known = {key_of(value) for value in values}

    def run(frame: Frame) -> Any:
        value = step(frame)
        if not isinstance(value, str | bool | int | float):
            return False
        return key_of(value) in known

    return run


def call(run: Implementation, cost: Cost, steps: list[Step]) -> Step:
    after = getattr(cost, "after", None)  # a cost that looks at the result
    if after is not None:
        return _charged_after(run, after, steps)
    if len(steps) == 2:
        left, right = steps

        def binary(frame: Frame) -> Any:
            return run(*_both(left, right, frame, cost))

        return binary
    if len(steps) == 1:
        step = steps[0]

        def unary(frame: Frame) -> Any:
            try:
                value = step(frame)
            except EvaluationError:
                charge(frame, cost((0,)))
                raise
            charge(frame, cost((value,)))
            return run(value)

        return unary

    def many(frame: Frame) -> Any:
        args = [step(frame) for step in steps]
        charge(frame, cost(args))
        return run(*args)

    return many


def _charged_after(run: Implementation, after: Callable[[Any], int], steps: list[Step]) -> Step:
    def resulting(frame: Frame) -> Any:
        args = [step(frame) for step in steps]
        try:
            result = run(*args)
        except EvaluationError:
            charge(frame, after(0))
            raise
        charge(frame, after(result))
        return result

    return resulting
