"""Who sends a request. Until RBAC exists only members of system:masters may do anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from kafila.core import errors
from kafila.core.clock import parse_rfc3339
from kafila.identity.tokens import Tokens
from kafila.identity.x509 import AUTHENTICATED, user_of
from kafila.registry import Registry, User

from .request import Request, Target

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
MASTERS = "system:masters"
LEEWAY = (
    60.0  # seconds that a token lives after what it is bound to was deleted and is still there, as in kube-apiserver
)
CREDENTIAL = "authentication.kubernetes.io/credential-id"

BASIC = {
    "authentication.k8s.io": ("selfsubjectreviews",),
    "authorization.k8s.io": ("selfsubjectaccessreviews", "selfsubjectrulesreviews"),
}
# What a header asks to act as (k8s.io/apiserver/pkg/endpoints/filters); the others are Impersonate-Extra-*
IMPERSONATE: Final = b"impersonate-"
IMPERSONATED: Final = {
    b"impersonate-user": ("", "users"),
    b"impersonate-group": ("", "groups"),
    b"impersonate-uid": ("authentication.k8s.io", "uids"),
}
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


def authenticate(scope: dict[str, Any], headers: dict[bytes, bytes], registry: Registry, tokens: Tokens | None) -> User:
    """Raises StatusError 401 for credentials that are not valid."""
    state = scope.get("state") or {}
    if "user" in state:  # a caller in this process (a simulated member's transport)
        user: User = state["user"]
        return user
    certificate = state.get("peer_cert_der")
    if certificate is not None:
        name, groups, identifier = user_of(certificate)
        if name and fits_header(name, *groups):
            return User(name, groups, extra=((CREDENTIAL, (identifier,)),))
    given = headers.get(b"authorization")
    if given is not None:
        scheme, _, token = given.decode("latin-1").partition(" ")
        found = user_of_token(token.strip(), registry, tokens) if scheme.lower() == "bearer" else None
        if found is None:
            raise errors.unauthorized()
        return found
    if certificate is not None:  # it names nobody, and whoever shows it does not mean to be nobody
        raise errors.unauthorized()
    return ANONYMOUS


def fits_header(*names: str) -> bool:
    """Whether a member can be told who asks: a header ends at its line, and loses spaces at its ends."""
    return all(name == name.strip() and not any(c < " " or c == "\x7f" for c in name) for name in names)


def refuse_impersonation(request: Request) -> None:
    """Raises StatusError 403: there is no impersonation yet, and who asks for it must not act as himself instead."""
    for header, value in request.headers.items():
        if header.startswith(IMPERSONATE):
            group, resource = IMPERSONATED.get(header, ("authentication.k8s.io", "userextras"))
            why = f"impersonation is not served yet, and the header {header.decode().title()} asks for it"
            request.warnings.append(why)  # kubectl begins with discovery, where it shows no reason but this
            who = f'User "{request.user.name}" cannot impersonate resource "{resource}" in API group "{group}"'
            name = value.decode("utf-8", "replace")
            raise errors.forbidden(group, resource, name, f"{who} at the cluster scope: {why}")


def user_of_token(token: str, registry: Registry, tokens: Tokens | None, audiences: Sequence[str] = ()) -> User | None:
    """The service account of a token, None when it is not valid (any more)."""
    claims = tokens.verify(token, audiences) if tokens is not None else None
    if claims is None:
        return None
    if not _lives(registry, "serviceaccounts", claims.namespace, claims.name, claims.uid):
        return None
    extra = [(CREDENTIAL, (f"JTI={claims.id}",))] if claims.id else []
    kinds = [kind for kind, _, _ in claims.bound]
    for kind, name, uid in claims.bound:
        where = "" if kind == "node" else claims.namespace
        only_told = kind == "node" and "pod" in kinds  # where the pod runs
        if not only_told and not _lives(registry, f"{kind}s", where, name, uid):
            return None
        if kind != "secret":
            prefix = f"authentication.kubernetes.io/{kind}"
            extra += [(f"{prefix}-name", (name,)), (f"{prefix}-uid", (uid,))]
    namespace = f"system:serviceaccounts:{claims.namespace}"
    groups = ("system:serviceaccounts", namespace, AUTHENTICATED)
    user = f"system:serviceaccount:{claims.namespace}:{claims.name}"
    return User(user, groups, claims.uid, tuple(extra))


def _lives(registry: Registry, resource: str, namespace: str, name: str, uid: str) -> bool:
    """Whether it is there, and has not been ending for more than what clocks may differ by."""
    entry = registry.cache.get(resource, namespace, name)
    if entry is None or entry.meta.uid != uid:
        return False
    ending = entry.meta.deletionTimestamp
    return not ending or parse_rfc3339(ending) >= time.time() - LEEWAY


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
