"""What is asked of an authorizer, and what it answers (k8s.io/apiserver/pkg/authorization/authorizer)."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, final

from kafila.core.errors import StatusError, forbidden
from kafila.core.quoting import quoted
from kafila.core.selectors import Requirement

MASTERS: Final = "system:masters"  # may do everything, whatever the mode


class Subject(Protocol):
    """Who asks, as authentication found it."""

    @property
    def name(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def uid(self) -> str: ...
    @property
    def extra(self) -> tuple[tuple[str, tuple[str, ...]], ...]: ...


@final
class Attributes(NamedTuple):
    """``path`` is None for a request for a resource; one for anything else has no more than that."""

    user: Subject
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str | None = None
    fields: tuple[Requirement, ...] = ()  # of the field selector; RBAC reads none of them
    labels: tuple[Requirement, ...] = ()


@final
class Decision(NamedTuple):
    """Neither allowed nor denied: no opinion, and the next mode is asked."""

    allowed: bool
    denied: bool = False
    reason: str = ""
    error: str = ""  # what could not be found out


NO_OPINION: Final = Decision(False)
ALLOWED: Final = Decision(True)


def what(asked: Attributes) -> str:
    """What somebody may not do, in kube-apiserver's words."""
    who = quoted(asked.user.name)
    if asked.path is not None:
        return f"User {who} cannot {asked.verb} path {quoted(asked.path)}"
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    where = f"in the namespace {quoted(asked.namespace)}" if asked.namespace else "at the cluster scope"
    resource, group = quoted(resource), quoted(asked.group)
    return f"User {who} cannot {asked.verb} resource {resource} in API group {group} {where}"


def refusal(asked: Attributes, reason: str = "") -> StatusError:
    """The answer to a request that is not allowed."""
    why = what(asked).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return forbidden(asked.group, asked.resource, asked.name, f"{why}: {reason}" if reason else why)
