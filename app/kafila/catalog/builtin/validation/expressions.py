"""Expressions (CEL) within built-in kinds: compiled, and of the type that they have to be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from kafila.cel import CompileError, Environment, InstantiationError, admission
from kafila.cel.environment import BINDINGS
from kafila.cel.types import BOOL, DYN, ERROR, NULL, STRING, Type, list_of, long_name
from kafila.core.errors import FieldError

from .common import Found, invalid

CONDITION: Final = (BOOL,)
MESSAGE: Final = (STRING,)
ANNOTATION: Final = (STRING, NULL)
APPLY: Final = (admission.OBJECT_TYPE,)
PATCH: Final = (list_of(admission.JSON_PATCH_TYPE),)
ANYTHING: Final = ()

DEVICE: Final = Environment({"device": DYN}, libraries=(BINDINGS,))


def check_expression(
    source: str,
    known: Collection[str],
    path: str,
    found: Found,
    variables: Mapping[str, Type] | None = None,
    wanted: Collection[Type] = CONDITION,
) -> Type:
    """One of admission. ``known``: "params" and "authorizer" are there where it names them; ``variables``: the types of those
    declared, None where there is no such thing; ``wanted``: the types that it may have. The type that it has."""
    environment = admission.environment(
        params="params" in known,
        authorizer="authorizer" in known,
        patches=wanted in (APPLY, PATCH),
        variables=variables,
    )
    return check_in(environment, source, path, found, wanted)


def check_in(
    environment: Environment, source: str, path: str, found: Found, wanted: Collection[Type] = CONDITION
) -> Type:
    failed = ""
    try:
        output = environment.compile(source).output
    except InstantiationError as problem:
        output, failed = problem.output, f"program instantiation failed: {problem}"
    except CompileError as problem:
        found.append(invalid(path, source, f"compilation failed: {problem}"))
        return ERROR
    if wanted and output not in wanted:
        names = [long_name(kind) for kind in wanted]
        what = names[0] if len(names) == 1 else f"one of [{' '.join(names)}]"
        found.append(invalid(path, source, f"must evaluate to {what} but got {long_name(output)}"))
    elif failed:
        found.append(FieldError.internal(path, failed))
    return output
