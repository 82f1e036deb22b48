"""Users and groups of the system, and what makes a name one that can be passed on."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from kafila.registry import User

ANONYMOUS_NAME: Final = "system:anonymous"
AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
ANONYMOUS: Final = User(ANONYMOUS_NAME, (UNAUTHENTICATED,))
CREDENTIAL: Final = "authentication.kubernetes.io/credential-id"
SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class InvalidCredential(Exception):
    """Somebody showed a credential that is not valid (any more). The text is for a TokenReview, never for who showed it."""


class NotSeen(InvalidCredential):
    """What the credential names is not there, as far as this process has heard: another one may just have made it."""


@lru_cache(maxsize=128)  # asked with each request, of few
def authenticated(user: User) -> User:
    """With the group of everybody who is known. Raises InvalidCredential for names that no header can carry."""
    if not fits_header(user.name, *user.groups):
        raise InvalidCredential("the name of the user or of a group cannot be passed on")
    if user.name == ANONYMOUS_NAME or not {AUTHENTICATED, UNAUTHENTICATED}.isdisjoint(user.groups):
        return user
    return user._replace(groups=(*user.groups, AUTHENTICATED))


def fits_header(*names: str) -> bool:
    """Whether a member can be sent who asks: a header ends at its line, and loses spaces at its ends."""
    return all(name == name.strip() for name in names) and not _CONTROL.search("".join(names))


def service_account_name(namespace: str, name: str) -> str:
    return f"{SERVICE_ACCOUNT}{namespace}:{name}"


def service_account_groups(namespace: str) -> tuple[str, str]:
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"
