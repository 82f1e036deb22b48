"""A KMS v2 plugin: it keeps a key that never comes here, and with it seals and opens *seeds*, of which each body gets its own key.

As in kube-apiserver (options/encryptionconfig, value/encrypt/envelope/kmsv2): one seed per process and key of the KMS, made when the
plugin's Status names another key. While the plugin is away what is sealed under known seeds is read on; writes go on for
three minutes after its last good answer, and then fail.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, final

import structlog

from kafila.core.clock import rfc3339
from kafila.store.sealing import MARK, CannotOpen, CannotSeal
from kafila.telemetry.tasks import cancelled

from . import metrics, wire
from .ciphers import open_gcm, seal_gcm

if TYPE_CHECKING:
    from kafila.members.grpc import Calls

    from .configuration import Remote

log = structlog.get_logger(__name__)
LONGEST_ERROR: Final = 512  # characters of what a plugin says
MOST_SEEDS: Final = 10_000  # in memory; what is sealed under more of them costs a call each
_AT_ONCE: Final = 8  # calls
_SEED: Final = 32  # bytes
_VERSIONS: Final = ("v2", "v2beta1")


class Periods(NamedTuple):
    """Seconds, kube-apiserver's: between looks at a plugin that works, and at one that does not; that a seed is written
    with after the last good one; that is not asked again after it did not answer."""

    healthy: float = 60.0
    unhealthy: float = 10.0
    lasts: float = 180.0
    pause: float = 5.0


class KMSError(Exception):
    """The plugin did not answer, or not usefully."""


class _Seed(NamedTuple):
    secret: bytes
    key_id: str
    header: bytes


def hashed(key_id: str) -> str:
    return f"sha256:{hashlib.sha256(key_id.encode()).hexdigest()}" if key_id else ""


@final
class KMS:
    """A :class:`~.ciphers.Cipher` whose seeds have to be there: see :meth:`prepare`. Made in the event loop that serves."""

    def __init__(self, remote: Remote, periods: Periods = Periods()) -> None:  # noqa: B008 - immutable
        self.remote = remote
        self.name = remote.name
        self.prefix = b"%bkms:v2:%b:" % (MARK, remote.name.encode())
        self.trouble = f"kmsv2 Provider {remote.name} is not healthy, error: it was not asked yet"
        self.recovered: Callable[[], None] = lambda: None  # called when what could not be opened may be asked for again
        self._periods = periods
        self._calls: Calls | None = None
        self._seed: _Seed | None = None  # that is written with
        self._expires = 0.0  # time at which it is not any more
        self._seeds: dict[bytes, bytes] = {}  # by header, the oldest first
        self._failed: dict[bytes, str] = {}  # headers that the plugin refused, and why; forgotten when it recovers
        self._missed = False  # something could not be opened because it did not answer
        self._away_until = 0.0
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._task: asyncio.Task[None] | None = None

    @property
    def key_id(self) -> str:
        """Of the key that is written with, "" without any."""
        return self._seed.key_id if self._seed is not None else ""

    def start(self) -> None:
        """Looks after the plugin until :meth:`close`."""
        self._task = asyncio.create_task(self._run(), name=f"kms-{self.name}")

    async def close(self) -> None:
        await cancelled(self._task)
        if self._calls is not None:
            self._calls.close()

    # Sealing and opening ----------------------------------------------------------------------------------------------

    def seal(self, body: bytes, place: bytes) -> bytes:
        seed, now = self._seed, time.time()
        if seed is None:
            raise CannotSeal(f"failed to encrypt DEK, error: {self.trouble}")
        if now > self._expires:
            raise CannotSeal(
                f'encryptedDEKSource with keyID hash "{hashed(seed.key_id)}" expired at {rfc3339(self._expires)}'
                f" (current time is {rfc3339(now)})"
            )
        metrics.KEY_IDS.labels("to_storage", self.name, hashed(seed.key_id)).inc()
        return b"".join((self.prefix, seed.header, seal_gcm(seed.secret, body, place)))

    def open(self, stored: bytes, place: bytes) -> bytes:
        try:
            header = wire.header_in(stored, len(self.prefix))
        except ValueError as error:
            raise CannotOpen(str(error)) from None
        seed = self._seeds.get(header)
        if seed is None:
            raise CannotOpen(f"failed to decrypt DEK, error: {self._failed.get(header) or self.trouble or 'not asked'}")
        return open_gcm(seed, stored[len(self.prefix) + len(header) :], place)

    def key_id_of(self, stored: bytes) -> str:
        """Of the key that its seed is sealed under, as it says. Raises ValueError."""
        return wire.sealed_seed_in(wire.header_in(stored, len(self.prefix))).key_id

    async def prepare(self, stored: Iterable[bytes]) -> None:
        """Gets the seeds of what begins with our prefix. Does not raise: what is not there then cannot be opened."""
        headers = set()
        for each in stored:
            try:
                headers.add(wire.header_in(each, len(self.prefix)))
            except ValueError:
                continue
        unknown = [header for header in headers if header not in self._seeds and header not in self._failed]
        if unknown:
            await asyncio.gather(*map(self._fetch, unknown))

    async def _fetch(self, header: bytes) -> None:
        async with self._limit:
            if header in self._seeds or header in self._failed:
                return
            if time.monotonic() < self._away_until:
                self._missed = True
                return
            try:
                sealed = wire.sealed_seed_in(header)
                request = wire.decrypt_request(sealed, str(uuid.uuid4()))
                self._remember(header, wire.seed_of(await self._call("Decrypt", request)))
                metrics.KEY_IDS.labels("from_storage", self.name, hashed(sealed.key_id)).inc()
            except asyncio.CancelledError:  # nobody waits any longer
                self._missed = True
                raise
            except (ValueError, KMSError) as error:
                if isinstance(error, KMSError) and self._is_away(error):
                    self._missed = True
                    self._away_until = time.monotonic() + self._periods.pause
                    self.trouble = self.trouble or str(error)
                elif len(self._failed) < MOST_SEEDS:
                    self._failed[header] = str(error)

    @staticmethod
    def _is_away(error: KMSError) -> bool:
        from grpclib.const import Status
        from grpclib.exceptions import GRPCError

        cause = error.__cause__
        return not isinstance(cause, GRPCError) or cause.status in (Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED)

    def _remember(self, header: bytes, seed: bytes) -> None:
        while len(self._seeds) >= MOST_SEEDS:
            del self._seeds[next(iter(self._seeds))]
        self._seeds[header] = seed
        metrics.SEEDS.labels(self.name).set(len(self._seeds))

    # The plugin -------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._periods.unhealthy if self.trouble else self._periods.healthy)
            await self.check()

    async def check(self) -> None:
        """Asks the plugin how it is; ``trouble`` says what was wrong, "" when it works. Takes up another key of it."""
        before = self.trouble
        try:
            status = await self._status()
            await self._take_up(status.key_id)
        except (ValueError, KMSError) as error:
            self.trouble = str(error)[:LONGEST_ERROR]
            if before != self.trouble:
                log.error("the KMS does not work", provider=self.name, reason=self.trouble)
            return
        self.trouble = ""
        self._away_until = 0.0
        if before:
            log.info("the KMS works", provider=self.name, key_id_hash=hashed(status.key_id))
        if self._missed or (before and self._failed) or await self._relents():
            self._missed = False
            self._failed.clear()
            self.recovered()

    async def _relents(self) -> bool:
        """Whether it opens by now what it refused: one of that is asked for again, another one each time."""
        header = next(iter(self._failed), None)
        if header is None:
            return False
        why = self._failed.pop(header)
        await self._fetch(header)
        if header in self._seeds:
            return True
        self._failed.setdefault(header, why)
        return False

    async def _status(self) -> wire.Status:
        try:
            answer = await self._call("Status", b"")
        except KMSError as error:
            what = f"failed to perform status section of the healthz check for KMS Provider {self.name}"
            raise KMSError(f"{what}, error: {error}") from error.__cause__
        status = wire.status_of(answer)
        wrong = ""
        if status.healthz != "ok":
            wrong = f"got unexpected healthz status: {status.healthz}"
        elif status.version not in _VERSIONS:
            wrong = f"expected KMSv2 API version v2, got {status.version}"
        else:
            try:
                wire.check_key_id(status.key_id)
            except ValueError as error:
                metrics.INVALID_KEY_IDS.labels(self.name, "too_long" if status.key_id else "empty").inc()
                wrong = f'got invalid KMSv2 KeyID hash "{hashed(status.key_id)}": {error}'
        if wrong:
            raise KMSError(f"kmsv2 Provider {self.name} is not healthy, error: {wrong}")
        metrics.KEY_ID_STATUS.labels(self.name, hashed(status.key_id)).set_to_current_time()
        return status

    async def _take_up(self, key_id: str) -> None:
        """Goes on with the seed while the key is the same, else makes another one."""
        expires = time.time() + self._periods.lasts  # begins before the call
        if self._seed is None or self._seed.key_id != key_id:
            secret = os.urandom(_SEED)
            try:
                request = wire.encrypt_request(secret, str(uuid.uuid4()))
                sealed = wire.sealed_seed_of(await self._call("Encrypt", request))
            except (ValueError, KMSError) as error:
                why = f"failed to encrypt DEK, error: {error}"
                raise KMSError(f"kmsv2 Provider {self.name} is not healthy, error: {why}") from error
            if sealed.key_id != key_id:
                why = f'failed to rotate DEK, statusKeyIDHash="{hashed(key_id)}", encryptKeyIDHash="{hashed(sealed.key_id)}"'
                raise KMSError(f"kmsv2 Provider {self.name} is not healthy, error: {why}")
            header = wire.header(sealed)
            self._remember(header, secret)
            self._seed = _Seed(secret, key_id, header)
        self._expires = expires

    async def _call(self, method: str, request: bytes) -> bytes:
        """Raises KMSError."""
        from grpclib.exceptions import GRPCError  # gRPC is loaded only where it is used

        from kafila.members.grpc import NO_ANSWER, Calls

        if self._calls is None:
            self._calls = Calls(path=self.remote.path)
        began, outcome = time.perf_counter(), "OK"
        try:
            return await self._calls.call(wire.SERVICE + method, request, self.remote.timeout)
        except NO_ANSWER as error:
            outcome = error.status.name if isinstance(error, GRPCError) else "UNAVAILABLE"
            raise KMSError(_said(error, self.remote)[:LONGEST_ERROR]) from error
        finally:
            taken = time.perf_counter() - began
            metrics.KMS_LATENCY.labels(self.name, wire.SERVICE + method, outcome).observe(taken)


def _said(error: BaseException, remote: Remote) -> str:
    from grpclib.exceptions import GRPCError

    if isinstance(error, GRPCError):
        return f"rpc error: code = {error.status.name} desc = {error.message or ''}"
    if isinstance(error, TimeoutError):
        return f"no answer within {remote.timeout:g} s"
    if isinstance(error, OSError) and error.strerror:
        return f"{remote.path}: {error.strerror.lower()}"
    return str(error) or type(error).__name__
