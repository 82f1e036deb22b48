"""Acting as somebody else: what the headers ask for, what that takes, and who it makes of the caller (Kubernetes' user impersonation)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

from kafila.registry import User

from .users import (
    ANONYMOUS_NAME,
    AUTHENTICATED,
    SERVICE_ACCOUNT,
    UNAUTHENTICATED,
    service_account_groups,
)

PREFIX: Final = b"impersonate-"
_LINE: Final = b"\n" + PREFIX
USER, GROUP, UID, EXTRA = b"impersonate-user", b"impersonate-group", b"impersonate-uid", b"impersonate-extra-"
_GROUP_OF_REVIEWS: Final = "authentication.k8s.io"
_ESCAPED: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_ACCOUNT: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


class Attributes(NamedTuple):
    """What the verb ``impersonate`` is needed for."""

    group: str
    resource: str
    name: str
    namespace: str = ""
    subresource: str = ""


class Impersonation(NamedTuple):
    user: User
    needs: tuple[Attributes, ...]


class IncompleteImpersonation(Exception):
    """Groups, a uid or extras are asked for without a user."""


def is_requested(names: Iterable[bytes]) -> bool:
    """Whether any header (names in lower case) asks for it, which is nearly never: one search through all, for every request."""
    return _LINE in b"\n".join((b"", *names))


def requested(headers: Sequence[tuple[bytes, bytes]]) -> Impersonation | None:
    """None when nothing is asked for. Raises IncompleteImpersonation."""
    asked = [(name, value) for name, value in headers if name.startswith(PREFIX)]
    if not asked:
        return None
    name = next(_values(asked, USER), "")  # of a header that comes twice the first counts, as in Go
    uid = next(_values(asked, UID), "")
    groups = tuple(_values(asked, GROUP))
    extra = _extra(asked)
    if not name:
        if groups or uid or extra:
            raise IncompleteImpersonation(f"requested {_printed(uid, groups, extra)} without impersonating a user name")
        return None
    needs = [_user_needs(name), *(Attributes("", "groups", group) for group in groups)]
    needs += [
        Attributes(_GROUP_OF_REVIEWS, "userextras", value, subresource=key) for key, values in extra for value in values
    ]
    if uid:
        needs.append(Attributes(_GROUP_OF_REVIEWS, "uids", uid))
    return Impersonation(User(name, _groups(name, groups), uid, extra), tuple(needs))


def _printed(uid: str, groups: Sequence[str], extra: Sequence[tuple[str, Sequence[str]]]) -> str:
    """As Go prints a user with %#v."""
    keys = ", ".join(f"{_quoted(key)}:{_list(values)}" for key, values in extra)
    shown = f"map[string][]string{{{keys}}}" if extra else "map[string][]string(nil)"
    return f'&user.DefaultInfo{{Name:"", UID:{_quoted(uid)}, Groups:{_list(groups)}, Extra:{shown}}}'


def _list(values: Sequence[str]) -> str:
    return "[]string{" + ", ".join(map(_quoted, values)) + "}" if values else "[]string(nil)"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _values(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> Iterator[str]:
    return (_text(value) for name, value in headers if name == wanted)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _extra(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name.startswith(EXTRA):
            found.setdefault(unescaped(_text(name[len(EXTRA) :])), []).append(_text(value))
    return tuple((key, tuple(values)) for key, values in found.items())


def unescaped(key: str) -> str:
    """A key of extras as it is in the name of a header; one that is not escaped well is taken as it is."""
    return unquote(key) if _ESCAPED.fullmatch(key) else key


def service_account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that a user is, None for other users."""
    if not name.startswith(SERVICE_ACCOUNT):
        return None
    namespace, colon, account = name.removeprefix(SERVICE_ACCOUNT).partition(":")
    return (namespace, account) if colon and _NAMESPACE.fullmatch(namespace) and _ACCOUNT.fullmatch(account) else None


def _user_needs(name: str) -> Attributes:
    account = service_account_of(name)
    return Attributes("", "serviceaccounts", account[1], account[0]) if account else Attributes("", "users", name)


def _groups(name: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are given count, also against those that a service account has; everybody known is authenticated."""
    account = service_account_of(name)
    groups = given or (service_account_groups(account[0]) if account else ())
    if name == ANONYMOUS_NAME:
        return groups if UNAUTHENTICATED in groups else (*groups, UNAUTHENTICATED)
    if AUTHENTICATED in groups or UNAUTHENTICATED in groups:
        return groups
    return (*groups, AUTHENTICATED)
