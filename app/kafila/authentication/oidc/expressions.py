"""Expressions (CEL) of an AuthenticationConfiguration: over the claims of a token, and over the user that they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kafila.cel import CompileError, Environment, InstantiationError, Objects, Program
from kafila.cel.ast import Call, Ident, Literal, Select, walk
from kafila.cel.types import BOOL, LIST_STRING, STRING, Type, map_of, struct
from kafila.cel.values import is_list
from kafila.machinery.configuration import Node

ANY: Final = Type("any", "google.protobuf.Any")
_USER: Final = {"username": STRING, "uid": STRING, "groups": LIST_STRING, "extra": map_of(STRING, LIST_STRING)}
CLAIMS: Final = Environment({"claims": map_of(STRING, ANY)})
USER: Final = Environment({"user": struct("kubernetes.UserInfo")}, objects=Objects({"kubernetes.UserInfo": _USER}))


class ExpressionFailed(Exception):
    """Its message is Kubernetes'."""


@dataclass(frozen=True, slots=True)
class Expression:
    """``message``: what is said where a rule is broken; ``key``: the name of an extra. Equal where the file says the same."""

    source: str
    program: Program = field(compare=False, repr=False)
    message: str = ""
    key: str = ""

    def value(self, name: str, given: Mapping[str, Any]) -> Any:
        """Raises ExpressionFailed."""
        result = self.program.evaluate({name: given})
        if result.error:
            raise ExpressionFailed(f"expression '{self.source}' resulted in error: {result.error}")
        return result.value

    def texts(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """One text or a list of them, those that are empty left out. Raises ExpressionFailed."""
        found = self.value("claims", claims)
        listed = [] if found is None else list(found) if is_list(found) else [found]
        if not all(isinstance(one, str) for one in listed):
            raise ExpressionFailed("expression must return a string or a list of strings")
        return tuple(one for one in listed if one)

    def hold(self, name: str, given: Mapping[str, Any]) -> None:
        """Raises ExpressionFailed where the rule is broken."""
        if self.value(name, given) is not True:
            raise ExpressionFailed(f"validation expression '{self.source}' failed: {self.message}")

    def reads(self, claim: str) -> bool:
        """Whether it looks at a claim by its name."""
        for node in walk(self.program.root):
            if isinstance(node, Select) and node.field_name == claim and _is_claims(node.operand):
                return True
            if isinstance(node, Call) and node.function == "_?._" and _is_claims(node.args[0]):
                name = node.args[1]
                if isinstance(name, Literal) and name.value == claim:
                    return True
        return False


def as_json(value: Any) -> Any:
    """Every number is a double, as Kubernetes reads a token's claims. Raises OverflowError."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return float(value) if type(value) is int else value


def _is_claims(node: Any) -> bool:
    return isinstance(node, Ident) and node.name == "claims"


def compiled(node: Node, environment: Environment, *, rule: bool, message: str = "", key: str = "") -> Expression:
    """``rule``: it has to be true or false. Raises ConfigurationError."""
    source = node.text()
    try:
        program = environment.compile(source)
    except InstantiationError as problem:
        raise node.error(f"program instantiation failed: {problem}") from None
    except CompileError as problem:
        raise node.error(f"compilation failed: {_one_line(str(problem))}") from None
    if rule and program.output != BOOL:
        raise node.error("must evaluate to bool")
    return Expression(source, program, message, key)


def _one_line(text: str) -> str:
    """Without the lines that show the place, which has its column anyway."""
    return "; ".join(line for line in text.splitlines() if not line.startswith(" | "))
