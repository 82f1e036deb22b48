"""Rules of structural schemas (x-kubernetes-validations): compiled, and what is wrong with them when they are declared.

A rule is refused where it does not compile, gives no bool, or may cost too much for objects of the largest size that the schema
allows; all rules of a schema together too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, final

from kafila.core.errors import FieldError
from kafila.machinery.structural.fieldpaths import PathProblem, field_at
from kafila.machinery.structural.props import EMBEDDED, LIST_TYPE, RULES, Props, additional, anywhere, items, properties

from .bounds import compiled_together
from .environment import Environment, InstantiationError, Program
from .objects import Objects
from .ranges import MOST
from .schema import Declared, declared, escaped, max_cardinality, named, size_at
from .source import CompileError
from .types import BOOL, STRING, Type, optional

EXPRESSION_LIMIT: Final = 10_000_000  # estimated, of one rule over all the places where it is evaluated
SCHEMA_LIMIT: Final = 100_000_000  # of all rules of a schema
_NO_BOOL: Final = "cel expression must evaluate to a bool"
_NO_TEXT: Final = "messageExpression must evaluate to a string"
_TYPE_NAME: Final = "selfType"
_SIMPLER: Final = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"


class Rule(NamedTuple):
    """``error`` and ``message_error``: why there is no program. ``field``: the path within the value that it blames."""

    source: Props
    program: Program | None = None
    error: str = ""
    uses_old: bool = False
    cost: int = 0
    message: Program | None = None
    message_error: str = ""
    message_cost: int = 0
    field: str = ""

    @property
    def optional_old(self) -> bool:
        return bool(self.source.get("optionalOldSelf"))

    @property
    def text(self) -> str:
        """How errors name it."""
        return (self.source.get("message") or self.source.get("rule") or "").strip()


def compiled(props: Props, known: Declared) -> list[Rule]:
    """The rules at this place of a schema. ``known`` is its type."""
    kind, objects = named(known, _TYPE_NAME)
    environments = {
        optionally: Environment(
            {"self": kind, "oldSelf": optional(kind) if optionally else kind}, objects=Objects(objects)
        )
        for optionally in {bool(rule.get("optionalOldSelf")) for rule in props[RULES]}
    }
    return [_compiled(rule, props, known, environments[bool(rule.get("optionalOldSelf"))]) for rule in props[RULES]]


def _compiled(source: Props, props: Props, known: Declared, environment: Environment) -> Rule:
    rule = Rule(source)
    text = source.get("rule") or ""
    if not text.strip():
        return rule
    program = _program(environment, text, BOOL, _NO_BOOL)
    if isinstance(program, str):
        return rule._replace(error=program)
    cost = program.estimated_cost(lambda path: size_at(known, path)).high
    rule = rule._replace(program=program, uses_old=program.uses("oldSelf"), cost=cost)
    if source.get("messageExpression"):
        rule = _with_message(rule, known, environment)
        if rule.message_error:
            return rule
    if source.get("fieldPath"):
        try:
            rule = rule._replace(field=field_at(source["fieldPath"], props).path)
        except PathProblem:
            pass
    return rule


def _program(environment: Environment, text: str, wanted: Type, no: str, prefix: str = "") -> Program | str:
    """Or why there is none. ``no``: of an expression of another type; ``prefix``: before other reasons."""
    try:
        program = environment.compile(text)
    except InstantiationError as problem:
        return f"{prefix or 'program '}instantiation failed: {problem}" if problem.output == wanted else no
    except CompileError as problem:
        return f"{prefix}compilation failed: {problem}"
    return program if program.output == wanted else no


def _with_message(rule: Rule, known: Declared, environment: Environment) -> Rule:
    message = _program(environment, rule.source["messageExpression"], STRING, _NO_TEXT, "messageExpression ")
    if isinstance(message, str):
        return rule._replace(message_error=message)
    cost = message.estimated_cost(lambda path: size_at(known, path)).high
    return rule._replace(message=message, message_cost=cost)


# -- when they are declared ------------------------------------------------------------------------------------------------


def rule_findings(props: Props, path: str, wrong: list[FieldError]) -> list[FieldError]:
    """``path`` is the schema's. ``wrong``: what else is wrong with the schema; rules above that are not looked at."""
    if not anywhere(props, RULES):
        return []
    schema = _Schema({error.field for error in wrong})
    with compiled_together():
        found = list(schema.findings(props, path, declared(props, True), 1, ""))
    return found + schema.total_findings(path)


@final
class _Schema:
    """The findings of one schema, and what its rules cost together."""

    def __init__(self, wrong: set[str]) -> None:
        self._wrong = wrong
        self._total = 0
        self._expensive: list[tuple[int, str]] = []

    def findings(
        self, props: Props, path: str, known: Declared | None, count: int | None, uncorrelated: str
    ) -> Iterator[FieldError]:
        """``count``: how many such values an object has at most, None where nothing bounds it; ``uncorrelated``: the list above
        whose elements cannot be compared with those before."""
        below = _times(count, _elements(props))
        if (inner := additional(props)) is not None:
            element = known.element if known is not None else None
            yield from self.findings(inner, f"{path}.additionalProperties", element, below, uncorrelated)
        for name, child in properties(props).items():
            found = (known.fields or {}).get(escaped(name) or "") if known is not None else None
            if found is None and anywhere(child, RULES):
                found = declared(child, bool(child.get(EMBEDDED)))
            yield from self.findings(child, f"{path}.properties[{name}]", found, below, uncorrelated)
        if (inner := items(props)) is not None:
            where = uncorrelated or ("" if props.get(LIST_TYPE) == "map" else path)
            element = known.element if known is not None else None
            yield from self.findings(inner, f"{path}.items", element, below, where)
        if props.get(RULES) and not any(field.startswith(path) for field in self._wrong):
            yield from self._own(props, path, known, count, uncorrelated)

    def _own(
        self, props: Props, path: str, known: Declared | None, count: int | None, uncorrelated: str
    ) -> Iterator[FieldError]:
        if known is None:
            what = "internal error: failed to construct type information for x-kubernetes-validations rules"
            why = f"{what}: unable to convert structural schema to CEL declarations"
            yield FieldError.internal(f"{path}.{RULES}", why)
            return
        for index, rule in enumerate(compiled(props, known)):
            yield from self._of_rule(rule, f"{path}.{RULES}[{index}]", known, count, uncorrelated)

    def _of_rule(
        self, rule: Rule, path: str, known: Declared, count: int | None, uncorrelated: str
    ) -> Iterator[FieldError]:
        cost = min(rule.cost * (max_cardinality(known.least) if count is None else count), MOST)
        if cost > EXPRESSION_LIMIT:
            yield FieldError.forbidden(f"{path}.rule", _exceeded("estimated rule cost", cost, EXPRESSION_LIMIT))
        self._observe(f"{path}.rule", cost)
        if rule.error:
            yield FieldError.invalid(f"{path}.rule", _shown(rule.source), rule.error)
        if rule.message_error:
            yield FieldError.invalid(f"{path}.messageExpression", _shown(rule.source), rule.message_error)
        elif rule.message is not None:
            if rule.message_cost > EXPRESSION_LIMIT:
                what = _exceeded("estimated messageExpression cost", rule.message_cost, EXPRESSION_LIMIT)
                yield FieldError.forbidden(f"{path}.messageExpression", what)
            self._observe(f"{path}.messageExpression", rule.message_cost)
        if rule.uses_old and uncorrelated:
            why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
            yield FieldError.invalid(f"{path}.rule", rule.source.get("rule"), why)
        elif not rule.uses_old and rule.source.get("optionalOldSelf") is not None:
            why = "may not be set if oldSelf is not used in rule"
            yield FieldError.invalid(f"{path}.optionalOldSelf", rule.source["optionalOldSelf"], why)

    def _observe(self, path: str, cost: int) -> None:
        self._total = min(self._total + cost, MOST)
        if cost >= SCHEMA_LIMIT // 100:
            self._expensive = sorted([*self._expensive, (cost, path)], key=lambda it: -it[0])[:4]

    def total_findings(self, path: str) -> list[FieldError]:
        if self._total <= SCHEMA_LIMIT:
            return []
        why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        found = [FieldError.forbidden(where, why) for _, where in self._expensive]
        return [*found, FieldError.forbidden(path, _exceeded(name, self._total, SCHEMA_LIMIT))]


def _times(count: int | None, elements: int | None) -> int | None:
    return None if count is None or elements is None else min(count * elements, MOST)


def _elements(props: Props) -> int | None:
    """How many values the schema below this one describes at most, None where nothing bounds it."""
    kind = props.get("type")
    if kind == "array":
        return max(props["maxItems"], 0) if props.get("maxItems") is not None else None
    if kind == "object" and props.get("additionalProperties") is not None:
        return max(props["maxProperties"], 0) if props.get("maxProperties") is not None else None
    return 1


def _exceeded(name: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{name} exceeds budget by factor of {shown} {_SIMPLER}"


def _shown(rule: Props) -> dict[str, Any]:
    """As Kubernetes' own struct is printed."""
    names = ("Rule", "Message", "MessageExpression", "Reason", "FieldPath", "OptionalOldSelf")
    empty = {"Reason": None, "OptionalOldSelf": None}
    return {name: rule.get(name[0].lower() + name[1:], empty.get(name, "")) for name in names}
