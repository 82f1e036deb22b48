"""Label and field selectors: their text forms, ``metav1.LabelSelector`` objects, and matching.

Texts of errors are those of k8s.io/apimachinery, since clients show them as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, final

from .names import label_value, qualified_name
from .remembered import remembered

Operator = Literal["=", "==", "!=", "in", "notin", "exists", "!", "gt", "lt"]
Labels = Mapping[str, str]

_BINARY_OPERATORS: Final = "in, notin, =, ==, !=, gt, lt"


class SelectorError(ValueError):
    """The selector cannot be understood; the message is Kubernetes' own."""


@remembered(4096)
def _key_problems(key: str) -> tuple[str, ...]:
    return tuple(qualified_name(key))


@remembered(4096)
def _value_problems(value: str) -> tuple[str, ...]:
    return tuple(label_value(value))


@final
class Requirement(NamedTuple):
    """One condition on one label; ``values`` are kept in the order given."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({values})"
            case "gt":
                return f"{self.key}>{values}"
            case "lt":
                return f"{self.key}<{values}"
        return f"{self.key}{self.operator}{values}"

    def test(self) -> Callable[[Labels], bool]:
        key, values = self.key, frozenset(self.values)
        match self.operator:
            case "=" | "==" | "in":
                if len(values) == 1:
                    (value,) = values
                    return lambda labels: labels.get(key) == value
                return lambda labels: labels.get(key) in values
            case "!=" | "notin":
                return lambda labels: labels.get(key) not in values
            case "exists":
                return lambda labels: key in labels
            case "!":
                return lambda labels: key not in labels
        bound = _int64(self.values[0]) or 0
        if self.operator == "gt":
            return lambda labels: (number := _int64(labels.get(key))) is not None and number > bound
        return lambda labels: (number := _int64(labels.get(key))) is not None and number < bound


_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)


def _int64(text: str | None) -> int | None:
    if text is None or not _INTEGER.fullmatch(text) or len(text) > 64:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


@final
class Selector:
    """All requirements must hold. Without requirements it selects everything; ``NOTHING`` selects nothing."""

    __slots__ = ("_nothing", "_tests", "_text", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda requirement: requirement.key))
        self._nothing = nothing
        self._tests = tuple(requirement.test() for requirement in self.requirements)
        self._text: str | None = None

    @property
    def empty(self) -> bool:
        """Does it select everything?"""
        return not self.requirements and not self._nothing

    def matches(self, labels: Labels | None) -> bool:
        if self._nothing:
            return False
        labels = labels or {}
        for test in self._tests:  # noqa: SIM110 - a loop is half the cost of all() here, and this runs per watcher and event
            if not test(labels):
                return False
        return True

    def __str__(self) -> str:
        if self._text is None:
            self._text = ",".join(map(str, self.requirements))
        return self._text

    def __repr__(self) -> str:
        return "Selector(nothing)" if self._nothing else f"Selector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and str(self) == str(other) and self._nothing == other._nothing

    def __hash__(self) -> int:
        return hash((str(self), self._nothing))


EVERYTHING: Final = Selector()
NOTHING: Final = Selector(nothing=True)


def requirement(key: str, operator: Operator, values: Sequence[str] = ()) -> Requirement:
    """A checked requirement. Raises SelectorError."""
    problems: list[str] = []
    if why := _key_problems(key):
        problems.append(f"key: Invalid value: {_quoted(key)}: {'; '.join(why)}")
    shown = json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)
    match operator:
        case "in" | "notin":
            if not values:
                problems.append(
                    f"values: Invalid value: {shown}: for 'in', 'notin' operators, values set can't be empty"
                )
        case "exists" | "!":
            if values:
                problems.append(
                    f"values: Invalid value: {shown}: values set must be empty for exists and does not exist"
                )
        case "gt" | "lt":
            if len(values) != 1:
                problems.append(
                    f"values: Invalid value: {shown}: for 'Gt', 'Lt' operators, exactly one value is required"
                )
            problems.extend(
                f"values[{i}]: Invalid value: {_quoted(value)}: for 'Gt', 'Lt' operators, the value must be an integer"
                for i, value in enumerate(values)
                if _int64(value) is None
            )
        case _:
            if len(values) != 1:
                problems.append(f"values: Invalid value: {shown}: exact-match compatibility requires one single value")
    for i, value in enumerate(values):
        if why := _value_problems(value):
            problems.append(f"values[{i}][{key}]: Invalid value: {_quoted(value)}: {'; '.join(why)}")
    if problems:
        raise SelectorError(problems[0] if len(problems) == 1 else f"[{', '.join(dict.fromkeys(problems))}]")
    return Requirement(key, operator, tuple(values))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@remembered(1024)
def parse(text: str) -> Selector:
    """``a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1``. Raises SelectorError."""
    return Selector(_Parser(text).requirements()) if text else EVERYTHING


# One token, or a run of characters that form none. A NUL ends the text, as it does for Kubernetes.
_TOKEN: Final = re.compile(r"==|!=|=|!|\(|\)|,|>|<|[^=!(),<> \t\r\n\0]+|\0.*", re.DOTALL)
_SYMBOLS: Final = frozenset({"==", "!=", "=", "!", "(", ")", ",", ">", "<"})
_OPERATORS: Final[dict[str, Operator]] = {
    "in": "in",
    "notin": "notin",
    "=": "=",
    "==": "==",
    "!=": "!=",
    ">": "gt",
    "<": "lt",
}


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = [token for token in _TOKEN.findall(text) if token[0] != "\0"]
        self.tokens.append("")  # the end
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at]

    def take(self) -> str:
        token = self.tokens[self.at]
        if token:
            self.at += 1
        return token

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while token := self.peek():
            if not _starts_requirement(token):
                raise SelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self.requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            token = self.take()
            if not token:
                break
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            if not _starts_requirement(self.peek()):
                raise SelectorError(f"found '{self.peek()}', expected: identifier after ','")
        return found

    def requirement(self) -> Requirement:
        key = self.take()
        absent = key == "!"
        if absent:
            key = self.take()
        if not _is_identifier(key):
            raise SelectorError(f"found '{key}', expected: identifier")
        if why := _key_problems(key):
            raise SelectorError(f"<nil>: Invalid value: {_quoted(key)}: {'; '.join(why)}")
        if absent:
            return requirement(key, "!")
        if self.peek() in ("", ","):
            return requirement(key, "exists")
        token = self.take()
        operator = _OPERATORS.get(token)
        if operator is None:
            raise SelectorError(f"found '{token}', expected: {_BINARY_OPERATORS}")
        values = self.values() if operator in ("in", "notin") else {self.exact_value()}
        return requirement(key, operator, sorted(values))

    def exact_value(self) -> str:
        if self.peek() in ("", ","):
            return ""
        token = self.take()
        if not _is_identifier(token):
            raise SelectorError(f"found '{token}', expected: identifier")
        return token

    def values(self) -> set[str]:
        token = self.take()
        if token != "(":
            raise SelectorError(f"found '{token}' expected: '('")
        first = self.peek()
        if first == ")":
            self.take()
            return {""}
        if not _is_identifier(first) and first != ",":
            raise SelectorError(f"found '{first}', expected: ',', ')' or identifier")
        found = self.identifiers()
        if self.take() != ")":
            raise SelectorError(f"found '{first}', expected: ')'")
        return found

    def identifiers(self) -> set[str]:
        """Empty values are allowed anywhere: ``(,a)``, ``(a,)``, ``(a,,b)``."""
        found: set[str] = set()
        while True:
            token = self.take()
            if _is_identifier(token):
                found.add(token)
                if self.peek() == ")":
                    return found
                if self.peek() != ",":
                    raise SelectorError(f"found '{self.peek()}', expected: ',' or ')'")
            elif token == ",":
                if not found or self.peek() in (")", ","):
                    found.add("")
                if self.peek() == ")":
                    return found
            else:
                raise SelectorError(f"found '{token}', expected: ',', or identifier")


def _is_identifier(token: str) -> bool:
    return bool(token) and token not in _SYMBOLS


def _starts_requirement(token: str) -> bool:
    return token == "!" or _is_identifier(token)


_OBJECT_OPERATORS: Final[dict[str, Operator]] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}


def from_object(selector: Mapping[str, Any] | None) -> Selector:
    """A ``metav1.LabelSelector``: null selects nothing, ``{}`` everything. Raises SelectorError."""
    if selector is None:
        return NOTHING
    found = [requirement(key, "=", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _OBJECT_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise SelectorError(f"{_quoted(expression.get('operator', ''))} is not a valid label selector operator")
        found.append(requirement(expression.get("key", ""), operator, expression.get("values") or ()))
    return Selector(found) if found else EVERYTHING


@final
class FieldRequirement(NamedTuple):
    field: str
    operator: Literal["=", "!="]
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.field}{self.operator}{escaped}"

    def holds(self, value: str) -> bool:
        return (value == self.value) is (self.operator == "=")


_FIELD_TERM: Final = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)


def parse_fields(text: str) -> tuple[FieldRequirement, ...]:
    """``metadata.name=x,status.phase!=Running``; ``\\``, ``,`` and ``=`` in values are escaped. Raises SelectorError."""
    found = []
    for term in sorted(_split_terms(text)):
        if not term:
            continue
        parts = _FIELD_TERM.fullmatch(term)
        if parts is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        field, operator, value = parts.groups()
        value = _unescaped(value)
        if field or value:  # Kubernetes takes a lone "=" for no condition
            found.append(FieldRequirement(field, "!=" if operator == "!=" else "=", value))
    return tuple(found)


def _split_terms(text: str) -> list[str]:
    terms, start, escaped = [], 0, False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(text[start:i])
            start = i + 1
    terms.append(text[start:])
    return terms


def _unescaped(text: str) -> str:
    if not any(char in text for char in "\\,="):
        return text
    out, escaped = [], False
    for char in text:
        if escaped:
            if char not in "\\,=":
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{char}")
            out.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            out.append(char)
    if escaped:
        raise SelectorError("invalid field selector: invalid escape sequence: \\")
    return "".join(out)
