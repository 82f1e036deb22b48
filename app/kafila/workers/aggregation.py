"""The way to extension servers, and what this process shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

from kafila.aggregation import Routes
from kafila.aggregation.documents import ExtensionDocuments
from kafila.aggregation.requests import Extensions
from kafila.api.aggregating import ExtensionProxy
from kafila.identity.certificates import KeyPair, issue
from kafila.identity.serving import check_pair, is_due
from kafila.settings.settings import Settings
from kafila.watch import Cache

NAME: Final = "front-proxy-client"
SHARE: Final = 0.8  # of a certificate's life, after which it is renewed


@final
class Aggregation:
    def __init__(self, cache: Cache, settings: Settings, authority: KeyPair) -> None:
        """``authority``: our front proxy's CA; ``settings`` may name a certificate of the user's own instead."""
        self._authority = authority
        self._files = settings.proxy_client_cert_file, settings.proxy_client_key_file
        self._pair: KeyPair | None = None
        self._times: tuple[float, ...] = ()
        routes = Routes(cache)
        self.extensions = Extensions(cache, self._identity)
        self.documents = ExtensionDocuments(routes, self.extensions)
        self.proxy = ExtensionProxy(routes, self.extensions)

    async def close(self) -> None:
        await self.proxy.close()
        await self.extensions.close()

    def _identity(self) -> KeyPair:
        if all(self._files):
            return self._from_files()
        if self._pair is None or is_due(self._pair.certificate, datetime.now(UTC), SHARE):
            self._pair = issue(self._authority, NAME)
        return self._pair

    def _from_files(self) -> KeyPair:
        """Read again when they change; a file that is gone for a moment leaves what was read."""
        try:
            times = tuple(Path(file).stat().st_mtime for file in self._files)
            if self._pair is None or times != self._times:
                certificate, key = (Path(file).read_bytes() for file in self._files)
                self._pair, self._times = KeyPair(certificate, key), times
        except OSError:
            if self._pair is None:
                raise
        return self._pair


def wrong_file(settings: Settings) -> tuple[str, str] | None:
    """The setting of the file that cannot be used, and why."""
    files = settings.proxy_client_cert_file, settings.proxy_client_key_file
    if not all(files):
        return None
    try:
        certificate, key = (Path(file).read_bytes() for file in files)
        check_pair(certificate, key, datetime.now(UTC))
    except (OSError, ValueError) as error:
        return "proxy_client_cert_file", str(error)
    return None
