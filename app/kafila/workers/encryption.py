"""Encryption at rest in this process: the file that the settings name, read at the start and again when it changes."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import structlog

from kafila.authentication.reloading import PERIOD, read
from kafila.encryption import metrics
from kafila.encryption.configuration import read_configuration
from kafila.encryption.encryption import Encryption
from kafila.encryption.kms import KMSError
from kafila.store.sealing import KeysNeeded

if TYPE_CHECKING:
    from kafila.settings.settings import Settings

log = structlog.get_logger(__name__)
FILE: Final = "encryption_provider_config"
RELOAD: Final = "encryption_provider_config_automatic_reload"


def wrong_file(settings: Settings) -> tuple[str, str] | None:
    """The first setting of encryption that cannot be served, and why; before anything starts."""
    name = settings.encryption_provider_config
    if not name:
        return (RELOAD, "must be set with --encryption-provider-config")
    if settings.database_url == "memory:":
        return FILE, "belongs to a database: in memory nothing is at rest"
    try:
        read_configuration(read(Path(name)))
    except ValueError as error:
        return FILE, str(error)
    return None


@final
class AtRest:
    """Made in the event loop that serves."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError."""
        self._file = Path(settings.encryption_provider_config)
        self._reloads = settings.encryption_provider_config_automatic_reload
        self._content = read(self._file)
        self._told = ""  # why the file was not taken up, as it was last said
        self.encryption = Encryption(read_configuration(self._content))
        self._in_force(self._content)

    async def start(self) -> None:
        """Raises KeysNeeded when a KMS does not work."""
        try:
            await self.encryption.start()
        except KMSError as error:
            await self.encryption.close()
            raise KeysNeeded(str(error)) from error

    async def follow(self, period: float = PERIOD) -> None:
        """Reads the file again when it changes, for ever. What is wrong leaves the old one in force, is logged and counted."""
        seen: bytes | None = self._content
        while self._reloads:
            await asyncio.sleep(period)
            found = await asyncio.to_thread(_read_or_none, self._file)
            if found == seen:
                continue
            try:
                if found is None:
                    raise ValueError("cannot be read any more")
                await self._replace(found)
            except KMSError as error:  # it may be starting: the same file is tried again
                self._not_reloaded(str(error))
            except ValueError as error:
                seen = found
                self._not_reloaded(str(error))
            else:
                seen, self._told = found, ""
                metrics.RELOADS.labels("success").inc()
                metrics.RELOADED_AT.labels("success").set_to_current_time()
                log.info("reloaded", file=str(self._file))

    async def _replace(self, content: bytes) -> None:
        await self.encryption.replace(read_configuration(content))
        self._in_force(content)

    def _not_reloaded(self, reason: str) -> None:
        metrics.RELOADS.labels("failure").inc()
        metrics.RELOADED_AT.labels("failure").set_to_current_time()
        if reason != self._told:
            self._told = reason
            log.error("not reloaded, what was read before stays in force", file=str(self._file), reason=reason)

    @staticmethod
    def _in_force(content: bytes) -> None:
        metrics.CONFIGURATION.clear()
        metrics.CONFIGURATION.labels(f"sha256:{hashlib.sha256(content).hexdigest()}").set(1)


def _read_or_none(file: Path) -> bytes | None:
    try:
        return read(file)
    except ValueError:
        return None
