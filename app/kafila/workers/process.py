"""One process of the control plane: store, cache, API and controllers, in the order in which they need each other."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, final

import structlog
from prometheus_client import REGISTRY
from prometheus_client.registry import Collector as MetricsCollector

from kafila.api.app import ObjectsApp
from kafila.api.deferred import Check, DeferredMetaRoutes, Page
from kafila.api.discovery import KEYS
from kafila.api.point_reads import PointReads
from kafila.api.proxy import MemberProxy
from kafila.api.seats import details
from kafila.api.serving import Server, make_server
from kafila.catalog.catalog import load_catalog
from kafila.core.errors import StatusError
from kafila.core.rates import Backoff
from kafila.core.switches import listed
from kafila.flowcontrol import dumps
from kafila.flowcontrol.fairness import Fairness
from kafila.flowcontrol.following import Following
from kafila.flowcontrol.metrics import FlowControl, observe_wait
from kafila.identity.keys import shared_keys, stored_authority
from kafila.reconcile.events import Recorder
from kafila.reconcile.karmada.member.manager import TransportFor
from kafila.registry import Registry
from kafila.registry.admitting import Admitting
from kafila.registry.bootstrap import bootstrap
from kafila.registry.converting import Converting
from kafila.registry.flowcontrol import ensure_flow_control
from kafila.registry.roles import default_roles, ensure_roles
from kafila.settings.checks import host_and_port
from kafila.settings.settings import Settings
from kafila.store.interface import Store, StoreUnavailable
from kafila.telemetry.runtime import StorageObjects, StorageState, watch_event_loop
from kafila.watch import Cache
from kafila.watch.definitions import Definitions
from kafila.webhooks import Callers

from .admission import admission, ask_of, known_to_webhooks
from .aggregation import Aggregation
from .audit import TIMEOUT, Audit, journal_of
from .authentication import Authenticators, TokenKeyring
from .authorization import authorizer_of
from .certificates import Certificates
from .collector import Collector, collector
from .compaction import compacting
from .exchange import Exchange
from .health import Health
from .loading import loaded
from .own_api import InProcessAPI, serving_nobody
from .resetting import reload_after_reset
from .rotations import Rotations
from .tunnels import serve_tunnels, tunnels_of
from .worker import Worker

if TYPE_CHECKING:
    from .controllers import Controllers
    from .encryption import AtRest

log = structlog.get_logger(__name__)
_RETRIES: Final = 0.1, 5.0  # seconds, shortest and longest
_UNREADABLE: Final = "objects cannot be decrypted: they are answered with 500, and no controller runs here"
_PASSING: Final = (429, 503, 504)  # answers that another attempt may change


@final
class Process:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        transport_for: TransportFor = lambda cluster: None,
        stopping: asyncio.Event | None = None,
        listeners: Sequence[socket.socket] = (),
        at_rest: AtRest | None = None,
    ) -> None:
        """Takes the open ``store`` over, and ``at_rest``, how it is encrypted; ``stopping`` may have been set by now.
        ``listeners``: bound; without any it binds itself."""
        self.settings = settings
        self._store = store
        self._at_rest = at_rest
        self._recorder: Recorder | None = None
        self._blind = False  # there are objects that cannot be decrypted
        self._transport_for = transport_for
        self.stopping = stopping or asyncio.Event()
        self.started = asyncio.Event()
        self.registry: Registry
        self._collector: Collector
        self.port = settings.port
        self._listeners = list(listeners) or None

    async def run(self) -> None:
        """Serves until :meth:`stop`, then closes the store."""
        try:
            with collector() as self._collector:
                await self._serve(self._store)
        finally:
            await self._store.close()
            if self._at_rest is not None:
                await self._at_rest.encryption.close()

    def stop(self) -> None:
        self.stopping.set()

    @property
    def leads(self) -> bool:
        """Whether controllers run here."""
        return self._worker.leader.leading

    async def _serve(self, store: Store) -> None:
        cache = self._cache = Cache(store, self.settings.watch_history_memory_mib << 20)
        cache.on_blind(self._warn_of_unreadable)
        await cache.load()
        catalog, settings = load_catalog(), self.settings
        authorizer = authorizer_of(cache, settings)
        admitting = admission(cache, catalog, settings, authorizer)
        callers = Callers(cache)
        converting = Converting(catalog, callers)
        registry = self.registry = Registry(
            catalog,
            store,
            cache,
            admitting,
            settings.service_cidr,
            settings.max_object_bytes,
            Admitting(
                cache, catalog, callers, ask_of(authorizer), known_to_webhooks(settings), settings.admission_plugins
            ),
            settings.deletion_max_objects,
        )
        journal = journal_of(settings, store, registry, self._at_rest)
        keys = await shared_keys(store, cache)
        definitions = Definitions(catalog, cache, self._collector.keeping)
        await definitions.start()
        worker = self._worker = Worker(store, registry, settings, self._blindness)
        keyring = TokenKeyring(settings, keys.service_accounts)
        tokens = keyring.tokens
        aggregation = Aggregation(cache, settings, keys.front_proxy)
        own_api = InProcessAPI()
        tunnels = tunnels_of(cache)
        exchange = Exchange()

        async def control() -> None:
            """What controllers are made of takes long to load: who asks for something does not wait for that."""
            program = await loaded("kafila.workers.controllers")
            self._collector.settle()
            controllers: Controllers = program.Controllers(
                worker.registry,
                definitions,
                self.settings,
                self._transport_for,
                tokens,
                stored_authority(cache)[0].bundle,
                aggregation.extensions,
                lambda: stored_authority(cache)[0],
                authorizer,
                own_api,
                tunnels,
                worker.shards,
                worker.members_registry,
            )
            exchange.controllers, keyring.changed = controllers, controllers.token_keys_changed
            worker.start(controllers)

        rotations = Rotations(store, cache, exchange, keyring.take, settings.service_account_signing_key_file)
        server: Server | None = None
        following: list[asyncio.Task[None]] = []
        app: ObjectsApp | None = None
        proxy: MemberProxy | None = None
        audit: Audit | None = None
        certificates: Certificates | None = None
        recorder: Recorder | None = None
        following_flows: Following | None = None
        async with asyncio.TaskGroup() as tasks:
            reload = tasks.create_task(reload_after_reset(cache))
            if self._at_rest is not None:
                self._at_rest.encryption.recovered = self._read_again
                following.append(tasks.create_task(self._at_rest.follow()))
            following += keyring.follow()
            if self.settings.role != "workers":
                proxy = MemberProxy(registry, self._transport_for, self.settings.answers, tunnels)
                checks, pages = self._checks(store), dict[str, Page]()
                meta_routes, timeout = DeferredMetaRoutes(checks, pages), settings.request_timeout
                app = ObjectsApp(
                    registry,
                    meta_routes,
                    proxy,
                    tokens,
                    definitions,
                    timeout,
                    authorizer=authorizer,
                    extension_proxy=aggregation.proxy,
                    extensions=aggregation.documents,
                )
                proxy.here = app
                if settings.enable_priority_and_fairness:
                    app.fairness = Fairness(settings.total_seats)
                    app.fairness.waits = observe_wait
                    pages |= dumps.pages(app.fairness, details)
                    following_flows = Following(cache, app.fairness)
                certificates = Certificates(settings, keys, self._hosts())
                tls = certificates.tls
                server = make_server(app, settings.host, settings.port, tls.context, settings.serving, PointReads(app))
                if self._at_rest is not None:
                    checks["kms-providers"] = self._at_rest.encryption.trouble
                known = Authenticators(registry, settings, tokens, keys.authority.believed, tls.trust)
                app.authentication = known.authentication
                following += [*known.follow(), asyncio.create_task(aggregation.documents.follow())]
                app.journal = journal
                if following_flows is not None:
                    following.append(asyncio.create_task(following_flows.adjust()))
                if settings.audit_policy_file:
                    audit = Audit(settings, journal)
                    app.auditor = audit.auditor if audit.auditor.backends else None
                    following.append(audit.follow())
                tasks.create_task(server.serve(sockets=self._listeners))
                await _started(server)
                self.port = server.servers[0].sockets[0].getsockname()[1]
                serve_tunnels(tunnels, app, proxy, settings, self.port)
                tokens.jwks_uri = tokens.jwks_uri or f"{self.server_url}{KEYS}"
            elif settings.listens:
                health = Health(settings, registry, keys, tokens, authorizer, self._checks(store), self._hosts())
                exchange.listens(health.known, health.certificates)
                following += health.follow()
                server = health.server
                tasks.create_task(server.serve(sockets=self._listeners))
                await _started(server)
                self.port = server.servers[0].sockets[0].getsockname()[1]
            alone = partial(
                serving_nobody, registry, self._transport_for, settings, definitions, authorizer, aggregation
            )
            own_api.app = app or alone()
            reached_at = self._reached_at(app is not None)
            await self._ensured(partial(bootstrap, registry, *reached_at, self.settings.service_cidr))
            await self._ensured(partial(ensure_roles, registry, default_roles()))
            if settings.enable_priority_and_fairness:
                await self._ensured(partial(ensure_flow_control, registry))
            if certificates is not None:
                exchange.server = self.server_url
                exchange.listens(known, certificates)
                exchange.serves(registry, keys.front_proxy.certificate)
                await self._ensured(partial(exchange.publish, keys.authority))
                known.changed = rotations.again
                certificates.write_kubeconfig(self.server_url)
                recorder = self._recorder = Recorder(registry)
                recorder.start()
                certificates.warn = partial(self._record, recorder, "Warning")
                rotations.asked(certificates.folder, partial(self._record, recorder, "Normal"))
                following += certificates.follow()
            following += rotations.follow(keys)
            compaction = tasks.create_task(compacting(store, settings))
            lag = tasks.create_task(watch_event_loop())
            collectors: list[MetricsCollector] = [
                StorageObjects(cache),
                StorageState(store, None if settings.database_url else settings.data_dir),
            ]
            if app is not None and app.fairness is not None:
                collectors.append(FlowControl(app.fairness))
            for collected in collectors:
                REGISTRY.register(collected)
            self._record_unreadable()
            if self.settings.role == "workers":  # nobody asks it for anything: it is ready when it can work
                await control()
            else:
                behind = control if self.settings.role == "all" else self._ready_to_ask
                following.append(tasks.create_task(behind()))
            self.started.set()
            self._log_ready()
            await self.stopping.wait()
            for collected in collectors:
                REGISTRY.unregister(collected)
            for task in (compaction, reload, lag, *following):
                task.cancel()
            if recorder is not None:
                await recorder.stop()
            await own_api.close()
            await aggregation.proxy.close()
            if server is not None:
                server.should_exit = True
            await worker.stop()
        if audit is not None:  # nobody is served any more
            await audit.close()
        if journal is not None:
            await asyncio.to_thread(journal.close, TIMEOUT)
        await tunnels.close()
        await definitions.stop()
        await converting.close()
        await aggregation.close()
        await callers.close()

    async def _ready_to_ask(self) -> None:
        """Members, webhooks and other servers, without a wait for what that takes."""
        await loaded("kafila.members.network")
        self._collector.settle()

    def _log_ready(self) -> None:
        if self.settings.role == "workers":
            serves = f"health and metrics on port {self.port}" if self.settings.listens else "nothing"
            log.info("ready", role="workers", serves=f"{serves}: controllers run here while this process leads")
        else:
            log.info("ready", server=self.server_url, kubeconfig=str(self.settings.data_dir / "kubeconfig"))

    @property
    def server_url(self) -> str:
        host, port = self._reached_at(True)
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    def _reached_at(self, serves: bool) -> tuple[str, int]:
        """Host and port, the port 0 when this process serves nothing."""
        settings = self.settings
        host, port = host_and_port(settings.advertise) if settings.advertise else (settings.host, None)
        return host, (port or self.port) if serves else 0

    def _hosts(self) -> list[str]:
        """What clients may call this server."""
        hosts = ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        first = str(ipaddress.ip_network(self.settings.service_cidr)[1])
        hosts += [first, self.settings.host, self._reached_at(True)[0]]
        hosts += listed(self.settings.apiserver_cert_extra_sans)
        return [host for host in dict.fromkeys(hosts) if host not in ("0.0.0.0", "::")]

    def _record(self, recorder: Recorder, kind: str, reason: str, message: str) -> None:
        """About the Service that leads to API servers."""
        service = self.registry.cache.get("services", "default", "kubernetes")
        if service is not None:
            about = {**service.decode(), "apiVersion": "v1", "kind": "Service"}
            recorder.event(about, kind, reason, message)

    async def _ensured(self, step: Callable[[], Awaitable[None]]) -> None:
        """What every start makes sure of waits for a database that is away, or read again, right now."""
        backoff = Backoff(*_RETRIES)
        while not self.stopping.is_set():
            try:
                return await step()
            except (StoreUnavailable, StatusError) as error:
                if isinstance(error, StatusError) and error.code not in _PASSING and not self._blind:
                    raise
                log.warning("bootstrap is tried again", error=str(error))
                await asyncio.sleep(backoff.failed())

    def _blindness(self) -> str:
        """Why controllers must not run here: what they do not find they would take for deleted."""
        return "there are objects that cannot be decrypted" if self._blind else ""

    def _warn_of_unreadable(self) -> None:
        self._blind = self._cache.blind
        if not self._blind:
            log.info("every object can be decrypted again")
            return
        for resource, found in self._cache.all_unreadable().items():
            path, body = next(iter(found.items()))
            log.error(_UNREADABLE, resource=resource, count=len(found), first=path, reason=body.reason)
        self._record_unreadable()

    def _record_unreadable(self) -> None:
        """As an event, where this process can write one by now."""
        if self._recorder is None:
            return
        for resource, found in self._cache.all_unreadable().items():
            path, body = next(iter(found.items()))
            text = f"{_UNREADABLE}: {len(found)} of {resource}, first {path}: {body.reason}"
            self._record(self._recorder, "Warning", "DecryptionFailed", text)

    def _read_again(self) -> None:
        """Keys came, or a KMS is back: what could not be read may be readable."""
        if self._blind:
            self._store.start_over("keys changed")

    def _checks(self, store: Store) -> dict[str, Check]:
        return {"storage": self._storage_check(store), "bootstrap": self._bootstrap_check}

    def _bootstrap_check(self) -> str | None:
        return None if self.started.is_set() else "not finished"

    def _storage_check(self, store: Store) -> Callable[[], str | None]:
        def check() -> str | None:
            if self.stopping.is_set():
                return "shutting down"
            return store.trouble or self._cache.trouble or None

        return check


async def _started(server: Server) -> None:
    while not server.started:
        if server.should_exit:
            raise SystemExit("cannot listen")
        await asyncio.sleep(0.005)
