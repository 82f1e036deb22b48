"""What a caller may do. Until RBAC exists only members of system:masters may do anything."""

from __future__ import annotations

from kafila.authentication.users import AUTHENTICATED
from kafila.core import errors
from kafila.registry import User

from .request import Target

MASTERS = "system:masters"

BASIC = {
    "authentication.k8s.io": ("selfsubjectreviews",),
    "authorization.k8s.io": ("selfsubjectaccessreviews", "selfsubjectrulesreviews"),
}
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


def verb_of(method: str, target: Target, watch: bool) -> str:
    verb = VERBS.get(method, method.lower())
    if verb == "get" and not target.name:
        return "watch" if watch else "list"
    if verb == "get" and watch:
        return "watch"
    if verb == "delete" and not target.name:
        return "deletecollection"
    return verb


def authorize(user: User, method: str, path: str, target: Target | None, watch: bool) -> None:
    """Raises StatusError 403 in Kubernetes' words."""
    if MASTERS in user.groups:
        return
    if AUTHENTICATED in user.groups and _is_basic(method, path, target):
        return
    if target is None or not target.plural:
        raise errors.forbidden("", "", "", f'User "{user.name}" cannot {method.lower()} path "{path}"')
    resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    why = (
        f'User "{user.name}" cannot {verb_of(method, target, watch)} resource "{resource}" '
        f'in API group "{target.group}"'
    )
    why += f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
    raise errors.forbidden(target.group, target.plural, target.name, why)


def _is_basic(method: str, path: str, target: Target | None) -> bool:
    """What every authenticated user may: read documents about the API and ask about itself (system:discovery,
    system:basic-user)."""
    if target is None or not target.plural:
        return method in ("GET", "HEAD") and path.startswith(("/api", "/openapi"))
    return method == "POST" and target.plural in BASIC.get(target.group, ())
