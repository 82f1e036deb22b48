"""Clusters by an expression (CEL) over the Cluster object: an annotation of policies, ours, that their bindings carry.

Karmada has nothing like it. It is asked besides the affinity of the placement, whichever group of it is in use:

    placement.kafila.io/cluster-expression: has(cluster.spec.provider) && cluster.spec.provider != 'aws'

What does not compile is refused at admission. What fails in a cluster, or costs more than it may there, does not match it.
Whoever may write a policy in some namespace learns what an expression says of a cluster: it sees of the Cluster what `seen` gives,
and nothing of how the cluster is reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from kafila.cel import CompileError, Environment, Program
from kafila.cel.types import BOOL, DYN, long_name
from kafila.core.errors import FieldError
from kafila.core.values import AnyObject
from kafila.placement.objects import annotations_of

ANNOTATION: Final = "placement.kafila.io/cluster-expression"
PATH: Final = f"metadata.annotations[{ANNOTATION}]"
LONGEST: Final = 1024  # characters
MOST_COST: Final = 2000  # of one evaluation, a few milliseconds here; kube-apiserver's limit is 500 times that
AT_ONCE: Final = 8  # clusters for which an expression is evaluated while everybody waits
_METADATA: Final = ("name", "labels")
_SPEC: Final = ("provider", "region", "zone", "zones", "syncMode", "taints", "resourceModels")
_CONDITION: Final = ("type", "status", "reason")  # a message may have an address
_SHOWN: Final = 200  # characters of what went wrong
_TOO_LONG: Final = f"must be no longer than {LONGEST} characters"


class Outcome(NamedTuple):
    """``error``: why there is no answer, which counts as no match."""

    matches: bool
    error: str = ""


def problems(text: str) -> Iterable[FieldError]:
    """What is wrong with an expression, in cel-go's words."""
    if len(text) > LONGEST:
        yield FieldError.invalid(PATH, f"{text[:_SHOWN]}…", _TOO_LONG)
    elif wrong := _compiled(text)[1]:
        yield FieldError.invalid(PATH, text, wrong)


def expression_of(obj: AnyObject) -> str:
    """Of a policy or a binding; "" for none."""
    return annotations_of(obj).get(ANNOTATION, "")


def seen(cluster: AnyObject) -> AnyObject:
    """What an expression sees of a Cluster."""
    status = dict(cluster.get("status") or {})
    if "conditions" in status:
        status["conditions"] = [_part(each, _CONDITION) for each in status["conditions"] or ()]
    found = {"metadata": _part(cluster["metadata"], _METADATA), "spec": _part(cluster.get("spec") or {}, _SPEC)}
    return {**found, "status": status}


def _part(obj: AnyObject, fields: Iterable[str]) -> AnyObject:
    return {field: obj[field] for field in fields if field in obj}


def outcome(text: str, cluster: AnyObject) -> Outcome:
    """Does the expression hold for a Cluster? Takes no longer than MOST_COST allows."""
    program, wrong = _compiled(text) if len(text) <= LONGEST else (None, _TOO_LONG)
    if program is None:
        return Outcome(False, wrong)
    found = program.evaluate({"cluster": seen(cluster)}, MOST_COST)
    if found.exceeded:
        return Outcome(False, f"it costs more than {MOST_COST}")
    if found.error:
        return Outcome(False, found.error[:_SHOWN])
    if type(found.value) is not bool:
        return Outcome(False, "its value is neither true nor false")
    return Outcome(found.value)


@lru_cache(maxsize=256)  # texts are no longer than LONGEST
def _compiled(text: str) -> tuple[Program | None, str]:
    """The program, or why there is none."""
    try:
        program = _environment().compile(text)
    except CompileError as error:
        return None, f"compilation failed: {error}"
    if program.output not in (BOOL, DYN):
        return None, f"must evaluate to bool, not {long_name(program.output)}"
    return program, ""


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment({"cluster": DYN})
