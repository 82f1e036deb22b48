"""A ValidatingAdmissionPolicy or a MutatingAdmissionPolicy with its bindings, compiled once per change of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, final

from kafila.cel import CompileError, Program, admission
from kafila.cel.bounds import compiled_together
from kafila.cel.types import Type
from kafila.core import selectors
from kafila.core.resources import split_api_version
from kafila.core.values import Object

from .matching import MatchResources, match_resources_of

POLICIES: Final = "validatingadmissionpolicies.admissionregistration.k8s.io"
BINDINGS: Final = "validatingadmissionpolicybindings.admissionregistration.k8s.io"
MUTATING_POLICIES: Final = "mutatingadmissionpolicies.admissionregistration.k8s.io"
MUTATING_BINDINGS: Final = "mutatingadmissionpolicybindings.admissionregistration.k8s.io"


class Expression(NamedTuple):
    """``program``: or why there is none, where what is stored does not compile (any more)."""

    source: str
    program: Program | CompileError


class Validation(NamedTuple):
    expression: Expression
    message: str
    said: Expression | None  # messageExpression
    reason: str


class Mutation(NamedTuple):
    """``applies``: its expression gives a configuration that is applied, and else a JSON patch."""

    expression: Expression
    applies: bool


class Binding(NamedTuple):
    """``params``: its paramRef."""

    name: str
    match: MatchResources
    params: Object | None
    selector: selectors.Selector | None
    actions: tuple[str, ...]


@final
class Policy(NamedTuple):
    """``reinvoked``: it is asked once more when the object is changed after it."""

    name: str
    match: MatchResources
    ignores_failure: bool
    param_kind: tuple[str, str, str] | None  # group, version, kind
    conditions: tuple[tuple[str, Expression], ...]
    variables: tuple[tuple[str, Expression], ...]
    validations: tuple[Validation, ...]
    annotations: tuple[tuple[str, Expression], ...]
    mutations: tuple[Mutation, ...]
    reinvoked: bool
    bindings: tuple[Binding, ...]
    uses: frozenset[str]  # variables that any of its expressions names

    @property
    def shown_param_kind(self) -> str:
        """As Go prints a GroupVersionKind."""
        group, version, kind = self.param_kind or ("", "", "")
        return f"{group}/{version}, Kind={kind}"


@compiled_together()
def policy_of(obj: Object, bindings: list[Object]) -> Policy:
    """``bindings``: those that name it, by name."""
    spec = obj.get("spec") or {}
    param_kind = spec.get("paramKind")
    params = param_kind is not None
    kinds: dict[str, Type] = {}
    declared = spec.get("variables") or ()
    variables: list[tuple[str, Expression]] = []
    for variable in declared:
        found = _compiled(variable["expression"], params, kinds)
        variables.append((variable["name"], found))
        if isinstance(found.program, Program):
            kinds[variable["name"]] = found.program.output
    mutations = spec.get("mutations") or ()
    known = kinds if declared or mutations else None
    policy = Policy(
        name=obj["metadata"]["name"],
        match=match_resources_of(spec.get("matchConstraints")),
        ignores_failure=spec.get("failurePolicy") == "Ignore",
        param_kind=(*split_api_version(param_kind.get("apiVersion") or ""), param_kind.get("kind") or "")
        if param_kind is not None
        else None,
        conditions=tuple(
            (each["name"], _compiled(each["expression"], params, None)) for each in spec.get("matchConditions") or ()
        ),
        variables=tuple(variables),
        validations=tuple(_validation(each, params, known) for each in spec.get("validations") or ()),
        annotations=tuple(
            (each["key"], _compiled(each["valueExpression"], params, known))
            for each in spec.get("auditAnnotations") or ()
        ),
        mutations=tuple(_mutation(each, params, kinds) for each in mutations),
        reinvoked=spec.get("reinvocationPolicy") == "IfNeeded",
        bindings=tuple(map(_binding, bindings)),
        uses=frozenset(),
    )
    return policy._replace(uses=frozenset(_used(policy)))


VARIABLES: Final = (
    "object",
    "oldObject",
    "namespaceObject",
    "request",
    "params",
    "authorizer",
    "authorizer.requestResource",
)


def _used(policy: Policy) -> Iterator[str]:
    for expression in _expressions(policy):
        for name in VARIABLES:
            if isinstance(expression.program, Program) and expression.program.uses(name):
                yield name


def _expressions(policy: Policy) -> Iterator[Expression]:
    for _, expression in (*policy.conditions, *policy.variables, *policy.annotations):
        yield expression
    for validation in policy.validations:
        yield validation.expression
        if validation.said is not None:
            yield validation.said
    for mutation in policy.mutations:
        yield mutation.expression


def _validation(given: Object, params: bool, variables: dict[str, Type] | None) -> Validation:
    said = given.get("messageExpression")
    return Validation(
        _compiled(given["expression"], params, variables),
        (given.get("message") or "").strip(),
        _compiled(said, params, variables, authorizer=False) if said else None,
        given.get("reason") or "Invalid",
    )


def _mutation(given: Object, params: bool, variables: dict[str, Type]) -> Mutation:
    applies = given.get("patchType") == "ApplyConfiguration"
    patch = given.get("applyConfiguration" if applies else "jsonPatch") or {}
    return Mutation(_compiled(patch.get("expression") or "", params, variables, patches=True), applies)


def _binding(obj: Object) -> Binding:
    spec = obj.get("spec") or {}
    ref = spec.get("paramRef")
    chosen = (ref or {}).get("selector")
    return Binding(
        obj["metadata"]["name"],
        match_resources_of(spec.get("matchResources")),
        ref,
        selectors.from_object(chosen) if chosen is not None else None,
        tuple(spec.get("validationActions") or ()),
    )


def _compiled(
    source: str,
    params: bool,
    variables: dict[str, Type] | None,
    *,
    authorizer: bool = True,
    patches: bool = False,
) -> Expression:
    environment: Any = admission.environment(params=params, authorizer=authorizer, patches=patches, variables=variables)
    try:
        return Expression(source, environment.compile(source))
    except CompileError as error:
        return Expression(source, error)
