"""Bootstrap tokens, with which a machine or a cluster joins: Secrets of one type in kube-system, and the signatures made with them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import Final, NamedTuple

from .clock import parse_rfc3339
from .values import Object

TYPE: Final = "bootstrap.kubernetes.io/token"
NAMESPACE: Final = "kube-system"
PREFIX: Final = "bootstrap-token-"  # of a Secret's name, with the token's id behind it
TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
IDENTIFIER: Final = re.compile("[a-z0-9]{6}")
EXTRA_GROUP: Final = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
SIGNING: Final = "signing"
AUTHENTICATION: Final = "authentication"
USAGES: Final = (SIGNING, AUTHENTICATION)
_USAGE: Final = "usage-bootstrap-"

# What who joins is told without credentials: a ConfigMap in kube-public.
CLUSTER_INFO: Final = "cluster-info"
CLUSTER_INFO_NAMESPACE: Final = "kube-public"
KUBECONFIG: Final = "kubeconfig"  # the key of what is signed
SIGNATURE: Final = "jws-kubeconfig-"  # the keys of signatures, with a token's id behind it


class BootstrapToken(NamedTuple):
    """``expiration``: as it stands in the Secret, "" for none. ``groups`` are not checked."""

    identifier: str
    secret: str
    usages: frozenset[str]
    groups: tuple[str, ...] = ()
    expiration: str = ""
    description: str = ""

    @property
    def text(self) -> str:
        return f"{self.identifier}.{self.secret}"

    def expires(self) -> float | None:
        """Unix seconds; None for never. What cannot be read has expired."""
        if not self.expiration:
            return None
        try:
            return parse_rfc3339(self.expiration)
        except ValueError:
            return 0.0

    def has_expired(self, now: float | None = None) -> bool:
        ends = self.expires()
        return ends is not None and ends <= (time.time() if now is None else now)


def read(secret: Object) -> BootstrapToken | None:
    """None for a Secret that is none, or whose name is not that of its token."""
    data = {name: _decoded(value) for name, value in (secret.get("data") or {}).items()}
    identifier, value = data.get("token-id", ""), data.get("token-secret", "")
    if secret.get("type") != TYPE or secret["metadata"].get("name") != PREFIX + identifier:
        return None
    if TOKEN.fullmatch(f"{identifier}.{value}") is None:
        return None
    groups = tuple(group.strip() for group in data.get("auth-extra-groups", "").split(",") if group.strip())
    usages = frozenset(
        name.removeprefix(_USAGE) for name, given in data.items() if name.startswith(_USAGE) and given == "true"
    )
    return BootstrapToken(identifier, value, usages, groups, data.get("expiration", ""), data.get("description", ""))


def secret_of(token: BootstrapToken) -> Object:
    """The Secret that says it."""
    data = {"token-id": token.identifier, "token-secret": token.secret}
    data |= {_USAGE + usage: "true" for usage in sorted(token.usages)}
    optional = {
        "auth-extra-groups": ",".join(token.groups),
        "expiration": token.expiration,
        "description": token.description,
    }
    data |= {name: value for name, value in optional.items() if value}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": PREFIX + token.identifier, "namespace": NAMESPACE},
        "type": TYPE,
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
    }


def signature(content: str, token: BootstrapToken) -> str:
    """A detached JSON Web Signature: who knows the token's secret sees that the content is from somebody who knows it too."""
    header = f'{{"alg":"HS256","kid":"{token.identifier}"}}'
    head = _unpadded(header.encode())
    signed = f"{head}.{_unpadded(content.encode())}".encode()
    mac = hmac.new(token.secret.encode(), signed, hashlib.sha256).digest()
    return f"{head}..{_unpadded(mac)}"


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        return ""
