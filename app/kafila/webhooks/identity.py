"""Who the control plane is to a webhook: users of a kubeconfig, chosen by the webhook's host (client-go's rules)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, final

from kafila.core.values import Object


class Identity(NamedTuple):
    """``authorization``: the header's value; PEM of a client certificate and its key."""

    authorization: str = ""
    certificate: bytes = b""
    key: bytes = b""


NOBODY: Final = Identity()


@final
class Identities:
    """``users``: by name of a kubeconfig's user. ``current``: the user of its current context."""

    def __init__(self, users: Mapping[str, Identity] | None = None, current: str = "") -> None:
        self._users = dict(users or {})
        self._current = current

    def of(self, host: str, port: int) -> Identity:
        for name in _names(host, port):
            if name in self._users:
                return self._users[name]
        return self._users.get(self._current, NOBODY) if self._current else NOBODY


UNKNOWN: Final = Identities()


def _names(host: str, port: int) -> Iterator[str]:
    """Names of users that stand for a host, the closest first."""
    targets = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    if port == 443:
        targets.append(host)
    for target in targets:
        yield target
        steps = target.split(".")
        for at in range(1, len(steps)):
            yield "*." + ".".join(steps[at:])
    yield "*"


def identity_of(user: Object) -> Identity:
    """Of a kubeconfig's user; files are read. Raises OSError, ValueError for what cannot be used."""
    if user.get("exec") or user.get("auth-provider"):
        raise ValueError("credential plugins are not supported")
    authorization = ""
    token = user.get("token") or (Path(user["tokenFile"]).read_text().strip() if user.get("tokenFile") else "")
    if token:
        authorization = f"Bearer {token}"
    elif user.get("username") or user.get("password"):
        pair = f"{user.get('username') or ''}:{user.get('password') or ''}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    if not authorization.isprintable():
        raise ValueError("the token has characters that no header can carry")
    return Identity(authorization, _data(user, "client-certificate"), _data(user, "client-key"))


def _data(user: Object, name: str) -> bytes:
    if inline := user.get(f"{name}-data"):
        try:
            return base64.b64decode(inline, validate=True)
        except binascii.Error as error:
            raise ValueError(f"{name}-data: {error}") from None
    return Path(user[name]).read_bytes() if user.get(name) else b""
