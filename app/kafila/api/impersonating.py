"""Acting as somebody else (``kubectl --as``): who may, and what is answered to whoever may not."""

from __future__ import annotations

from collections.abc import Sequence

from kafila.authentication.impersonation import Attributes, IncompleteImpersonation, requested
from kafila.authentication.users import InvalidCredential, authenticated
from kafila.core import errors
from kafila.registry import User

from .authentication import MASTERS


def acting(user: User, headers: Sequence[tuple[bytes, bytes]]) -> User:
    """Who ``user`` acts as with these headers: himself when they ask for nothing. Raises StatusError 400, 403."""
    try:
        asked = requested(headers)
        if asked is None:
            return user
        for needed in asked.needs:
            authorize_impersonation(user, needed)
        return authenticated(asked.user)
    except (IncompleteImpersonation, InvalidCredential) as error:
        raise errors.bad_request(str(error)) from None


def authorize_impersonation(user: User, needed: Attributes) -> None:
    """Raises StatusError 403 in Kubernetes' words. Until RBAC exists only members of system:masters may impersonate."""
    if MASTERS in user.groups:
        return
    resource = f"{needed.resource}/{needed.subresource}" if needed.subresource else needed.resource
    where = f'in the namespace "{needed.namespace}"' if needed.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot impersonate resource "{resource}" in API group "{needed.group}" {where}'
    raise errors.forbidden(needed.group, needed.resource, needed.name, why)
