"""How the control plane reaches a member that was joined: its Cluster object and the Secret that the Cluster names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from kafila.core.values import AnyObject, Object

from .client import MemberClient
from .dialing import Dialer
from .transport import TLS, Transport

TOKEN = "token"
AUTHORITY = "caBundle"


class CredentialsError(Exception):
    """Why no client can be made; stands in the Cluster's Ready condition (reason StatusCollectionFailed)."""


class Connection(NamedTuple):
    """Equal connections may share a client."""

    endpoint: str
    tls: TLS
    token: str
    proxy_url: str = ""
    proxy_headers: tuple[tuple[str, str], ...] = ()
    dialer: Dialer | None = None  # makes the connections, whatever address the endpoint has

    def client(self, name: str, transport: Transport | None = None, **options: Any) -> MemberClient:
        """Raises CredentialsError. ``transport`` overrides the network."""
        try:
            if transport is None and self.dialer is not None:
                from .network import NetworkTransport

                transport = NetworkTransport(self.endpoint, self.tls, dialer=self.dialer)
            return MemberClient(
                name,
                self.endpoint,
                tls=self.tls,
                token=self.token,
                proxy_url=self.proxy_url,
                proxy_headers=dict(self.proxy_headers),
                transport=transport,
                **options,
            )
        except ValueError as error:
            raise CredentialsError(str(error)) from None


def secret_name(cluster: AnyObject) -> tuple[str, str]:
    """Namespace and name of the Secret with the credentials. Raises CredentialsError."""
    reference = cluster["spec"].get("secretRef")
    if not reference:
        raise CredentialsError(f"cluster {cluster['metadata']['name']} does not have a secret")
    return reference["namespace"], reference["name"]


def connection(cluster: AnyObject, secret: Object | None) -> Connection:
    """``secret`` None: it does not exist. Raises CredentialsError, in Karmada's words."""
    name, spec = cluster["metadata"]["name"], cluster["spec"]
    if not spec.get("apiEndpoint"):
        raise CredentialsError(f"the api endpoint of cluster {name} is empty")
    namespace, wanted = secret_name(cluster)
    if secret is None:
        raise CredentialsError(f'secrets "{wanted}" not found in namespace {namespace}')
    insecure = bool(spec.get("insecureSkipTLSVerification"))
    return Connection(
        endpoint=spec["apiEndpoint"],
        tls=TLS(insecure=True) if insecure else TLS(authority=_authority(name, secret)),
        token=token_of(name, secret),
        proxy_url=spec.get("proxyURL") or "",
        proxy_headers=tuple(sorted((spec.get("proxyHeader") or {}).items())) if spec.get("proxyURL") else (),
    )


def token_of(cluster: str, secret: Object) -> str:
    """Also for the impersonator's Secret. Raises CredentialsError."""
    token = secret_value(cluster, secret, TOKEN)
    if not token:
        raise CredentialsError(f'the secret for cluster {cluster} is missing a non-empty value for "{TOKEN}"')
    return token.decode(errors="replace").strip()


def token_expiry(token: str) -> float | None:
    """Unix seconds; None for a token that does not expire, or does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def _authority(cluster: str, secret: Object) -> bytes:
    if AUTHORITY not in (secret.get("data") or {}):
        raise CredentialsError(f'the secret for cluster {cluster} is missing the CA data key "{AUTHORITY}"')
    return secret_value(cluster, secret, AUTHORITY)


def secret_value(cluster: str, secret: Object, key: str) -> bytes:
    data: Mapping[str, str] = secret.get("data") or {}
    try:
        return base64.b64decode(data.get(key) or "", validate=True)
    except binascii.Error:
        raise CredentialsError(f'the secret for cluster {cluster} has a value for "{key}" that is no base64') from None
