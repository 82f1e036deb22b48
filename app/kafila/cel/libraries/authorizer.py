"""Questions to the authorizer (Kubernetes' library): ``authorizer.group('apps').resource('deployments').check('get').allowed()``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from kafila.cel.declarations import Library, member
from kafila.cel.types import BOOL, STRING, Type, struct
from kafila.cel.values import EvaluationError, Opaque
from kafila.core import names

AUTHORIZER_TYPE: Final = struct("kubernetes.authorization.Authorizer")
PATH_TYPE: Final = struct("kubernetes.authorization.PathCheck")
GROUP_TYPE: Final = struct("kubernetes.authorization.GroupCheck")
RESOURCE_TYPE: Final = struct("kubernetes.authorization.ResourceCheck")
DECISION_TYPE: Final = struct("kubernetes.authorization.Decision")


class Question(NamedTuple):
    """``user`` is who the authorizer was made for, or (namespace, name) of a service account. ``path`` "": it is about a resource,
    of whatever version."""

    user: Any
    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


class Answer(NamedTuple):
    allowed: bool
    reason: str = ""
    error: str = ""  # why nothing could be decided


Ask = Callable[[Question], Answer]


@dataclass(frozen=True, slots=True)
class Authorizer(Opaque):
    """The value of the variable ``authorizer``: who asks, and whom."""

    user: Any
    ask: Ask
    cel_type: Type = AUTHORIZER_TYPE


@dataclass(frozen=True, slots=True)
class PathCheck(Opaque):
    authorizer: Authorizer
    path: str
    cel_type: Type = PATH_TYPE


@dataclass(frozen=True, slots=True)
class GroupCheck(Opaque):
    authorizer: Authorizer
    group: str
    cel_type: Type = GROUP_TYPE


@dataclass(frozen=True, slots=True)
class ResourceCheck(Opaque):
    """Also the value of ``authorizer.requestResource``."""

    authorizer: Authorizer
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    cel_type: Type = RESOURCE_TYPE


@dataclass(frozen=True, slots=True)
class Decision(Opaque):
    answer: Answer
    cel_type: Type = DECISION_TYPE


def _path(authorizer: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise EvaluationError("path must not be empty")
    return PathCheck(authorizer, path)


def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    if names.dns1123_subdomain(name):
        raise EvaluationError("Invalid service account name")
    if names.dns1123_label(namespace):
        raise EvaluationError("Invalid service account namespace")
    return Authorizer((namespace, name), authorizer.ask)


def _resource(group: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise EvaluationError("resource must not be empty")
    return ResourceCheck(group.authorizer, group.group, resource)


def _with(name: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    def run(check: ResourceCheck, value: str) -> ResourceCheck:
        return replace(check, **{name: value})  # type: ignore[arg-type]

    return run


def _check_path(check: PathCheck, verb: str) -> Decision:
    return Decision(check.authorizer.ask(Question(check.authorizer.user, verb, check.path)))


def _check_resource(check: ResourceCheck, verb: str) -> Decision:
    question = Question(
        check.authorizer.user,
        verb,
        "",
        check.group,
        check.resource,
        check.subresource,
        check.namespace,
        check.name,
        check.field_selector,
        check.label_selector,
    )
    return Decision(check.authorizer.ask(question))


_REFINED: Final = (RESOURCE_TYPE, STRING)

AUTHORIZATION: Final = Library(
    "authorizer",
    {
        "path": (member("authorizer_path", (AUTHORIZER_TYPE, STRING), PATH_TYPE, _path),),
        "group": (member("authorizer_group", (AUTHORIZER_TYPE, STRING), GROUP_TYPE, GroupCheck),),
        "serviceAccount": (
            member("authorizer_serviceaccount", (AUTHORIZER_TYPE, STRING, STRING), AUTHORIZER_TYPE, _service_account),
        ),
        "resource": (member("groupcheck_resource", (GROUP_TYPE, STRING), RESOURCE_TYPE, _resource),),
        "subresource": (member("resourcecheck_subresource", _REFINED, RESOURCE_TYPE, _with("subresource")),),
        "namespace": (member("resourcecheck_namespace", _REFINED, RESOURCE_TYPE, _with("namespace")),),
        "name": (member("resourcecheck_name", _REFINED, RESOURCE_TYPE, _with("name")),),
        "check": (
            member("pathcheck_check", (PATH_TYPE, STRING), DECISION_TYPE, _check_path),
            member("resourcecheck_check", _REFINED, DECISION_TYPE, _check_resource),
        ),
        "errored": (member("decision_errored", (DECISION_TYPE,), BOOL, lambda it: bool(it.answer.error)),),
        "error": (member("decision_error", (DECISION_TYPE,), STRING, lambda it: it.answer.error),),
        "allowed": (member("decision_allowed", (DECISION_TYPE,), BOOL, lambda it: it.answer.allowed),),
        "reason": (member("decision_reason", (DECISION_TYPE,), STRING, lambda it: it.answer.reason),),
        "fieldSelector": (member("authorizer_fieldselector", _REFINED, RESOURCE_TYPE, _with("field_selector")),),
        "labelSelector": (member("authorizer_labelselector", _REFINED, RESOURCE_TYPE, _with("label_selector")),),
    },
)
