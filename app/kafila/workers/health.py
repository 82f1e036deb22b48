"""Health and metrics of a process that serves no API: over TLS, and metrics to those only who may see them, as in API processes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import final

from kafila.api.app import ObjectsApp
from kafila.api.deferred import Check, DeferredMetaRoutes
from kafila.api.health import HealthApp
from kafila.api.serving import make_server
from kafila.authorization import Authorizer
from kafila.identity.keys import Keys
from kafila.identity.tokens import Tokens
from kafila.registry import Registry
from kafila.settings.settings import Settings

from .authentication import Authenticators
from .certificates import Certificates


@final
class Health:
    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        keys: Keys,
        tokens: Tokens,
        authorizer: Authorizer,
        checks: Mapping[str, Check],
        hosts: Sequence[str],
    ) -> None:
        """``checks``: of /readyz; ``hosts``: names and addresses of this process. Raises ValueError, OSError."""
        self.certificates = Certificates(settings, keys, hosts)
        tls = self.certificates.tls
        self.known = Authenticators(registry, settings, tokens, keys.authority.believed, tls.trust)
        app = ObjectsApp(
            registry,
            DeferredMetaRoutes(checks),
            tokens=tokens,
            request_timeout=settings.request_timeout,
            authentication=self.known.authentication,
            authorizer=authorizer,
        )
        self.server = make_server(HealthApp(app), settings.host, settings.port, tls.context, settings.serving)

    def follow(self) -> list[asyncio.Task[None]]:
        """Renews certificates and reads files again, until these are cancelled."""
        return [*self.known.follow(), *self.certificates.follow()]
