"""Who sends a request. Until RBAC exists only members of system:masters may do anything."""

from __future__ import annotations

from typing import Any

from app.core import errors
from app.identity.x509 import user_of
from app.registry import User

from .request import Target

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
MASTERS = "system:masters"

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


def authenticate(scope: dict[str, Any], headers: dict[bytes, bytes]) -> User:
    """Raises StatusError 401 for credentials that are not valid."""
    state = scope.get("state") or {}
    if "user" in state:  # a caller in this process (a simulated member's transport)
        user: User = state["user"]
        return user
    certificate = state.get("peer_cert_der")
    if certificate is not None:
        name, groups = user_of(certificate)
        return User(name, groups)
    if b"authorization" in headers:
        raise errors.unauthorized()
    return ANONYMOUS


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
    if target is None or not target.plural:
        raise errors.forbidden("", "", "", f'User "{user.name}" cannot {method.lower()} path "{path}"')
    resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
    why = (
        f'User "{user.name}" cannot {verb_of(method, target, watch)} resource "{resource}" '
        f'in API group "{target.group}"'
    )
    why += f' in the namespace "{target.namespace}"' if target.namespace else " at the cluster scope"
    raise errors.forbidden(target.group, target.plural, target.name, why)
