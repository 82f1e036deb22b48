"""The configuration that is in force: what the store asks for every body that it writes or reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, final

import structlog

from kafila.core.resources import Key
from kafila.store.sealing import MARK, CannotOpen, CannotSeal

from . import metrics
from .ciphers import Cipher, ciphers_of
from .configuration import Configuration, Identity, Local, Remote, Rule
from .kms import KMS, KMSError, Periods
from .selection import Selection

log = structlog.get_logger(__name__)
_START_TIMEOUT: Final = 10.0  # seconds at the start for a plugin that may be starting too
_RETRY: Final = 0.25
_AES: Final = ("aesgcm", "aescbc")
IN_CLEAR: Final = "<in clear>"


def place_of(key: Key) -> bytes:
    """Where a body belongs: no two keys have the same, for no part has a slash."""
    return f"{key.resource}/{key.namespace}/{key.name}".encode()


class _Plan(NamedTuple):
    """What a configuration comes to. ``writers``: by rule, None for identity; ``readers``: by what follows MARK, as ``aesgcm:v1:key1``."""

    selection: Selection
    writers: dict[int, Cipher | None]
    readers: dict[bytes, list[Cipher]]
    plugins: dict[Remote, KMS]


@final
class Encryption:
    """See :class:`kafila.store.sealing.Sealer`. Usable in any thread; begun, replaced and closed in the event loop that serves."""

    active = True

    def __init__(self, configuration: Configuration, periods: Periods = Periods()) -> None:  # noqa: B008 - immutable
        self.recovered: Callable[[], None] = lambda: None  # called when what could not be opened may be readable by now
        self._periods = periods
        self._plan = self._planned(configuration, {})

    # What the store asks ----------------------------------------------------------------------------------------------

    def seal(self, key: Key, body: bytes, clear: bytes) -> bytes:
        plan = self._plan
        rule = plan.selection.rule(key.resource, clear)
        if rule is None:
            return body
        cipher = plan.writers[id(rule)]
        if cipher is None:
            return body
        prefix = _shown(cipher.prefix)
        try:
            sealed = cipher.seal(body, place_of(key))
        except CannotSeal:
            metrics.OPERATIONS.labels(key.resource, "to_storage", prefix, "unknown-non-grpc").inc()
            raise
        metrics.OPERATIONS.labels(key.resource, "to_storage", prefix, "OK").inc()
        return sealed

    def seals(self, key: Key, clear: bytes) -> bool:
        """Whether such a body is written sealed now."""
        rule = self._plan.selection.rule(key.resource, clear)
        return rule is not None and self._plan.writers[id(rule)] is not None

    @property
    def sealed(self) -> str:
        return self._plan.selection.sealed

    async def prepare(self, stored: Sequence[bytes | None]) -> None:
        for plugin in self._plan.plugins.values():
            if ours := [each for each in stored if each is not None and each.startswith(plugin.prefix)]:
                await plugin.prepare(ours)

    def open(self, key: Key, stored: bytes) -> bytes:
        plan = self._plan
        if not stored.startswith(MARK):
            rule = plan.selection.rule(key.resource, stored)
            if rule is not None and not any(isinstance(each, Identity) for each in rule.providers):
                metrics.OPERATIONS.labels(key.resource, "from_storage", "unknown", "unknown-non-grpc").inc()
                raise CannotOpen("no matching prefix found")
            return stored
        name = named(stored)
        error = CannotOpen(self._unknown(plan, name))
        place = place_of(key)
        for cipher in plan.readers.get(name, ()):
            try:
                found = cipher.open(stored, place)
            except CannotOpen as wrong:
                error = wrong
            else:
                metrics.OPERATIONS.labels(key.resource, "from_storage", _shown(cipher.prefix), "OK").inc()
                return found
        metrics.OPERATIONS.labels(key.resource, "from_storage", "unknown", "unknown-non-grpc").inc()
        raise error

    @staticmethod
    def _unknown(plan: _Plan, name: bytes) -> str:
        """kube-apiserver's words for what has no key here."""
        algorithm = name.partition(b":")[0]
        if not any(other.partition(b":")[0] == algorithm for other in plan.readers) or algorithm == b"kms":
            return "no matching prefix found"
        shown = "AES" if algorithm.decode() in _AES else "Secretbox"
        return f"no matching key was found for the provided {shown} transformer"

    # For who rewrites -------------------------------------------------------------------------------------------------

    def is_current(self, key: Key, stored: bytes, clear: bytes) -> bool:
        """Whether ``stored`` is as it would be written now. ``clear``: what it opens to, as JSON."""
        plan = self._plan
        rule = plan.selection.rule(key.resource, clear)
        cipher = plan.writers[id(rule)] if rule is not None else None
        if cipher is None:
            return not stored.startswith(MARK)
        if not stored.startswith(cipher.prefix):
            return False
        return not isinstance(cipher, KMS) or cipher.key_id_of(stored) == cipher.key_id

    def concerns(self, resource: str) -> bool:
        return self._plan.selection.concerns(resource)

    def key_of(self, stored: bytes) -> str:
        """What a body is sealed under, for people: ``aesgcm:key1``, ``kms:name sha256:…``."""
        if not stored.startswith(MARK):
            return IN_CLEAR
        kind, _, name = named(stored).decode(errors="replace").split(":", 2)
        if kind != "kms":
            return f"{kind}:{name}"
        from . import wire
        from .kms import hashed

        try:
            start = len(MARK) + len(named(stored)) + 1
            return f"{kind}:{name} {hashed(wire.sealed_seed_in(wire.header_in(stored, start)).key_id)}"
        except ValueError:
            return f"{kind}:{name}"

    # Life -------------------------------------------------------------------------------------------------------------

    async def start(self, timeout: float = _START_TIMEOUT) -> None:
        """Asks the KMS plugins, and looks after them from then on. Raises KMSError when one does not work within ``timeout`` seconds."""
        for plugin in self._plan.plugins.values():
            await _first_answer(plugin, timeout)
            self._look_after(plugin)

    async def replace(self, configuration: Configuration) -> None:
        """Puts another configuration in force. Plugins that both have go on with their seeds. Raises KMSError, and all stays as it was."""
        before = self._plan
        plan = self._planned(configuration, before.plugins)
        fresh = [plugin for remote, plugin in plan.plugins.items() if remote not in before.plugins]
        try:
            for plugin in fresh:
                await _first_answer(plugin, 0.0)
        except KMSError:
            for plugin in fresh:
                await plugin.close()
            raise
        for plugin in fresh:
            self._look_after(plugin)
        self._plan = plan
        for remote, plugin in before.plugins.items():
            if remote not in plan.plugins:
                await plugin.close()
        self.recovered()

    async def close(self) -> None:
        for plugin in self._plan.plugins.values():
            await plugin.close()

    def trouble(self) -> str | None:
        """What does not work of the KMS plugins, None when all is well: kube-apiserver's check ``kms-providers``."""
        return "; ".join(plugin.trouble for plugin in self._plan.plugins.values() if plugin.trouble) or None

    def _look_after(self, plugin: KMS) -> None:
        plugin.recovered = lambda: self.recovered()
        plugin.start()

    def _planned(self, configuration: Configuration, plugins: dict[Remote, KMS]) -> _Plan:
        selection = Selection(configuration)
        kept: dict[Remote, KMS] = {}
        writers: dict[int, Cipher | None] = {}
        readers: dict[bytes, list[Cipher]] = {}
        for rule in selection.rules:
            writers[id(rule)] = None
            for place, cipher in self._ciphers(rule, plugins, kept):
                if not place:
                    writers[id(rule)] = cipher
                readers.setdefault(named(cipher.prefix), []).append(cipher)
        return _Plan(selection, writers, readers, kept)

    def _ciphers(self, rule: Rule, plugins: dict[Remote, KMS], kept: dict[Remote, KMS]) -> Iterator[tuple[int, Cipher]]:
        """Each with its place in the rule: what is at 0 writes."""
        for number, provider in enumerate(rule.providers):
            if isinstance(provider, Local):
                for at, cipher in enumerate(ciphers_of(provider)):
                    yield number or at, cipher
            elif isinstance(provider, Remote):
                plugin = plugins.get(provider) or KMS(provider, self._periods)
                kept[provider] = plugin
                yield number, plugin


def named(stored: bytes) -> bytes:
    """``aesgcm:v1:key1`` of what begins with ``kafila:enc:aesgcm:v1:key1:``; as much of it as is there."""
    return b":".join(stored[len(MARK) : len(MARK) + 600].split(b":", 3)[:3])


def _shown(prefix: bytes) -> str:
    return prefix.decode()


async def _first_answer(plugin: KMS, timeout: float) -> None:
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        await plugin.check()
        if not plugin.trouble:
            return
        if asyncio.get_running_loop().time() >= deadline:
            raise KMSError(plugin.trouble)
        await asyncio.sleep(_RETRY)
