"""Acting as somebody else (``kubectl --as``): who may, and what is answered to whoever may not."""

from __future__ import annotations

from collections.abc import Sequence

from kafila.authentication.impersonation import IncompleteImpersonation, requested
from kafila.authentication.users import InvalidCredential, authenticated
from kafila.authorization import MASTERS, Attributes, Authorizer
from kafila.core import errors
from kafila.registry import User

from .authorization import insist


async def acting(user: User, headers: Sequence[tuple[bytes, bytes]], authorizer: Authorizer) -> User:
    """Who ``user`` acts as with these headers: himself when they ask for nothing. Raises StatusError 400, 403."""
    try:
        asked = requested(headers)
        if asked is None:
            return user
        for needed in asked.needs if MASTERS not in user.groups else ():
            parts = (needed.group, "v1", needed.resource, needed.subresource, needed.namespace, needed.name)
            attributes = Attributes(user, "impersonate", *parts)
            insist(attributes, await authorizer.authorize(attributes))
        return authenticated(asked.user)
    except (IncompleteImpersonation, InvalidCredential) as error:
        raise errors.bad_request(str(error)) from None
