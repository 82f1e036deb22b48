"""How senders are known in this process: the authenticators that the settings ask for, and the files they come from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from prometheus_client import Gauge

from kafila.authentication.audiences import for_this_server
from kafila.authentication.authorities import Authorities, read_authorities
from kafila.authentication.bootstrap_tokens import bootstrap_tokens
from kafila.authentication.certificates import client_certificates
from kafila.authentication.chain import Authentication
from kafila.authentication.credentials import RemoteTokenAuthenticator, RequestAuthenticator, TokenAuthenticator
from kafila.authentication.front_proxy import HeaderNames, front_proxy
from kafila.authentication.oidc.configuration import read_configuration
from kafila.authentication.oidc.fetching import fetch
from kafila.authentication.oidc.issuers import Issuers
from kafila.authentication.reloading import follow, follow_together, read
from kafila.authentication.serviceaccounts import service_account_tokens
from kafila.authentication.token_file import read_tokens, token_file
from kafila.authentication.webhook import TokenWebhook
from kafila.core.switches import listed
from kafila.identity.certificates import KeyPair, signing_key
from kafila.identity.jwk import public_keys
from kafila.identity.token_keys import TokenKeys
from kafila.identity.tokens import Tokens
from kafila.members.kubeconfig import KubeconfigError, load
from kafila.registry import Registry
from kafila.registry.bootstrap import FrontProxy
from kafila.settings.settings import Settings

from .legacy_tokens import LegacyTokens
from .webhooks import post_to

_TIMEOUT: Final = 10.0  # seconds for an answer of the token webhook
OVERLAP_ENDS: Final = Gauge(
    "kafila_service_account_key_rotation_ends_timestamp_seconds",
    "When tokens of the key before are believed no longer; 0 while no other key is believed.",
)


@final
class TokenKeyring:
    """The keys of service account tokens in this process: our own, and those of the user's files, which may both change."""

    def __init__(self, settings: Settings, own: TokenKeys) -> None:
        """Raises ValueError."""
        self._own = own
        self._signs = bool(settings.service_account_signing_key_file)  # last of the files, where there is one
        names = [*listed(settings.service_account_key_file), settings.service_account_signing_key_file]
        self._files = [Path(name) for name in names if name]
        self._contents = [read(path) for path in self._files]
        self.changed: Callable[[], None] = lambda: None  # called when keys were exchanged
        signing, accepted = self._keys()
        self.tokens = Tokens(
            signing,
            listed(settings.service_account_issuer),
            accepted,
            listed(settings.api_audiences),
            settings.service_account_jwks_uri,
            settings.service_account_max_token_expiration,
        )
        self._replace()
        self._measure()

    def _replace(self) -> None:
        """Raises ValueError, and leaves all as it was."""
        self.tokens.replace(*self._keys(), retired=self._own.retired)

    def _keys(self) -> tuple[KeyPair, list[bytes]]:
        """What signs tokens, and what is believed besides: our own key always is, so that tokens outlive a change to another one.
        Raises ValueError."""
        accepted = list(self._contents)
        signing = signing_key(accepted.pop()) if self._signs else self._own.pair
        return signing, [self._own.pair.certificate, *self._own.others, *accepted]

    async def take(self, own: TokenKeys) -> None:
        """From now on these are our own."""
        self._own = own
        self._replace()
        self._measure()
        self.changed()

    def _measure(self) -> None:
        previous = self._own.previous
        OVERLAP_ENDS.set(previous.until.timestamp() if previous is not None else 0)

    def follow(self) -> list[asyncio.Task[None]]:
        """Reads the files again when one of them changes, until these are cancelled."""
        if not self._files:
            return []

        def replace(contents: list[bytes]) -> None:
            before, self._contents = self._contents, contents
            try:
                self._replace()
            except ValueError:
                self._contents = before
                raise

        return [asyncio.create_task(follow_together(self._files, list(self._contents), replace))]


def _check_signing_key(content: bytes, settings: Settings) -> None:
    signing_key(content)


def _check_configuration(content: bytes, settings: Settings) -> None:
    found = read_configuration(content, listed(settings.service_account_issuer))
    if found.anonymous is not None and not settings.anonymous_auth:
        raise ValueError("it says something about anonymous requests, as --anonymous-auth does: leave one of them out")


FILES: Final[dict[str, Callable[[bytes, Settings], object]]] = {
    "client_ca_file": lambda content, settings: read_authorities(content),
    "requestheader_client_ca_file": lambda content, settings: read_authorities(content),
    "token_auth_file": lambda content, settings: read_tokens(content.decode()),
    "service_account_key_file": lambda content, settings: public_keys(content),
    "service_account_signing_key_file": _check_signing_key,
    "authentication_config": _check_configuration,
}
WEBHOOK: Final = "authentication_token_webhook_config_file"


def wrong_file(settings: Settings) -> tuple[str, str] | None:
    """The first setting that names a file which cannot be used, and why; before anything starts."""
    for setting, check in FILES.items():
        for name in listed(getattr(settings, setting)):
            try:
                check(read(Path(name)), settings)
            except ValueError as error:
                return setting, "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    try:
        if name := getattr(settings, WEBHOOK):
            load(name)
    except KubeconfigError as error:
        return WEBHOOK, str(error)
    return None


@final
class Authenticators:
    """``trust``: gives the TLS layer more authorities (PEM)."""

    def __init__(
        self, registry: Registry, settings: Settings, tokens: Tokens, own: bytes, trust: Callable[[bytes], None]
    ) -> None:
        """``own``: PEM of our authorities. Raises ValueError."""
        self._settings = settings
        self._tokens = tokens
        self._trust = trust
        self._following: list[tuple[Path, bytes, Callable[[bytes], None]]] = []
        self._clients, self._proxies = Authorities(own), Authorities()
        self._in_force: dict[str, bytes] = {}  # by file of authorities
        self.changed: Callable[[], None] = lambda: None  # called when a file has brought other authorities
        self._issuers = Issuers(tokens.audiences, fetch)
        requests = self._by_certificate()
        by_token = self._by_token(registry)
        remote = self._by_others()
        self.authentication = Authentication(
            requests, by_token, remote, self._allows_anonymous, registry.wait_for_consistent_read
        )

    def follow(self) -> list[asyncio.Task[None]]:
        """Reads files again when they change, until these are cancelled."""
        return [asyncio.create_task(follow(*what)) for what in self._following]

    def _read(self, name: str, apply: Callable[[bytes], None]) -> None:
        path = Path(name)
        content = read(path)
        apply(content)
        self._following.append((path, content, apply))

    def client_authorities(self) -> bytes:
        """PEM of those of the file that sign clients' certificates beside ours."""
        return self._content(self._settings.client_ca_file)

    def front_proxies(self, own: bytes) -> FrontProxy:
        """How proxies in front of servers are known: as the settings say, or by our own authority (PEM), which signs none yet."""
        settings = self._settings
        if not settings.requestheader_client_ca_file:
            return FrontProxy(own)
        return FrontProxy(
            self._content(settings.requestheader_client_ca_file),
            listed(settings.requestheader_allowed_names),
            listed(settings.requestheader_extra_headers_prefix),
            listed(settings.requestheader_group_headers),
            listed(settings.requestheader_uid_headers),
            listed(settings.requestheader_username_headers),
        )

    def _content(self, name: str) -> bytes:
        """Of a file of authorities, as it is in force."""
        return self._in_force.get(name, b"")

    def believe_own(self, pem: bytes) -> None:
        """Our authorities are these now; the TLS layer knows them."""
        self._clients.replace_own(pem)

    def _by_certificate(self) -> list[RequestAuthenticator]:
        settings, clients, proxies = self._settings, self._clients, self._proxies

        def believe(name: str, authorities: Authorities) -> Callable[[bytes], None]:
            def apply(pem: bytes) -> None:
                read_authorities(pem)
                self._trust(pem)  # first: nobody is believed whom the handshake would turn away
                authorities.replace(pem)
                self._in_force[name] = pem if pem.endswith(b"\n") else pem + b"\n"
                self.changed()

            return apply

        if settings.client_ca_file:
            self._read(settings.client_ca_file, believe(settings.client_ca_file, clients))
        by_client = client_certificates(clients)
        if not settings.requestheader_client_ca_file:
            return [by_client]
        self._read(settings.requestheader_client_ca_file, believe(settings.requestheader_client_ca_file, proxies))
        names = HeaderNames(
            listed(settings.requestheader_username_headers),
            listed(settings.requestheader_group_headers),
            listed(settings.requestheader_uid_headers),
            listed(settings.requestheader_extra_headers_prefix),
            listed(settings.requestheader_allowed_names),
        )
        return [front_proxy(proxies, names), by_client]

    def _by_token(self, registry: Registry) -> list[TokenAuthenticator]:
        settings, ours, found = self._settings, self._tokens.audiences, []
        if settings.token_auth_file:
            users = read_tokens(read(Path(settings.token_auth_file)).decode())
            found.append(for_this_server(token_file(users), ours))
        found.append(service_account_tokens(registry.cache, lambda: self._tokens, LegacyTokens(registry).used))
        if settings.enable_bootstrap_token_auth:
            found.append(for_this_server(bootstrap_tokens(registry.cache), ours))
        return found

    def _by_others(self) -> list[RemoteTokenAuthenticator]:
        settings = self._settings
        found: list[RemoteTokenAuthenticator] = []
        if settings.authentication_config:
            own_issuers = listed(settings.service_account_issuer)
            self._read(
                settings.authentication_config,
                lambda content: self._issuers.replace(read_configuration(content, own_issuers)),
            )
            found.append(self._issuers)
        if file := settings.authentication_token_webhook_config_file:
            lasts, version = (
                settings.authentication_token_webhook_cache_ttl,
                settings.authentication_token_webhook_version,
            )
            client = load(file).client("token-webhook", qps=1e6, burst=10**6, timeout=_TIMEOUT)
            found.append(TokenWebhook(post_to(client), self._tokens.audiences, lasts, version))
        return found

    def _allows_anonymous(self, path: str) -> bool:
        said = self._issuers.allows_anonymous(path)
        return self._settings.anonymous_auth if said is None else said
