"""The ASGI application: authentication, authorization, routing, errors, metrics around every request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, final
from urllib.parse import quote

import orjson
import structlog

from kafila.aggregation.documents import ExtensionDocuments
from kafila.audit.events import MOST_AUDIT_ID
from kafila.audit.table import Journal
from kafila.authentication.certificates import client_certificates
from kafila.authentication.chain import Authentication
from kafila.authentication.credentials import Credentials
from kafila.authentication.impersonation import is_requested
from kafila.authentication.serviceaccounts import service_account_tokens
from kafila.authentication.users import ANONYMOUS
from kafila.authorization import MASTERS, Authorizer, build, follow
from kafila.authorization.attributes import ALLOWED
from kafila.catalog.catalog import Group
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.selectors import parse_fields
from kafila.flowcontrol.fairness import Fairness, Left, Rejected
from kafila.identity.tokens import Tokens
from kafila.registry import Registry, User
from kafila.settings.serving import ServingOptions
from kafila.watch import Groups
from kafila.watch.definitions import Definitions

from . import discovery, metrics, proxy, seats
from .admitting import connecting
from .aggregating import ExtensionProxy
from .auditing import Auditor
from .authorization import attributes_of, authorize, verb_of
from .bodies import Disconnected, Receive, read_body
from .dispatch import STREAMED, TUNNEL, dispatch, is_misplaced, warn_of_deprecation
from .impersonating import acting
from .journaling import READS, Changes
from .member_metrics import ServesMetrics, metrics_of_members
from .negotiation import for_streams
from .object_responses import accept_of, check_form
from .objects import list_options
from .request import Request, Target, parse_query, parse_target
from .responses import COMMON, Response, Send, Sender, error_response, not_found_page, send_response
from .searching import GROUP as SEARCH
from .searching import Searching
from .seats import is_watch
from .tunnels import TunnelEndpoint
from .watching import serve_watch

log = structlog.get_logger(__name__)
Scope = dict[str, Any]
NOBODY = User("")  # as whom the audit log knows senders that are refused
ASGI = Callable[[Any, Any, Any], Awaitable[None]]


@final
class ObjectsApp:
    """Serves /api, /apis and /openapi; everything else goes to ``meta_routes`` (FastAPI)."""

    def __init__(
        self,
        registry: Registry,
        meta_routes: ASGI,
        member_proxy: proxy.MemberProxy | None = None,
        tokens: Tokens | None = None,
        definitions: Definitions | None = None,
        request_timeout: float = ServingOptions().request_timeout,
        authentication: Authentication | None = None,
        authorizer: Authorizer | None = None,
        extension_proxy: ExtensionProxy | None = None,
        extensions: ExtensionDocuments | None = None,
    ) -> None:
        """``extension_proxy``, ``extensions``: what APIServices give to other servers; None: nothing."""
        self.registry = registry
        self.meta_routes = meta_routes
        self.member_proxy = member_proxy
        self.tunnels: TunnelEndpoint | None = None  # of agents; None: there are none
        self.tokens = tokens  # of service accounts; None: neither issued nor accepted
        self.definitions = definitions  # of custom kinds; None: there are none
        self.request_timeout = request_timeout
        self.authentication = authentication or Authentication(
            [client_certificates()],
            [service_account_tokens(registry.cache, lambda: self.tokens)],
            settle=registry.wait_for_consistent_read,
        )
        self.authorizer = authorizer or build(follow(registry.cache))
        self.auditor: Auditor | None = None  # without a policy nothing is recorded
        self.journal: Journal | None = None  # who changed what is kept in the database; None: it is not
        self.extension_proxy = extension_proxy
        # metrics of members; None: a group like others, of which nothing is stored
        self.metrics: ServesMetrics | None = None
        if member_proxy is not None:
            routes = extension_proxy.routes if extension_proxy is not None else None
            self.metrics = metrics_of_members(registry, member_proxy, routes)
        self.documents = discovery.Documents(registry.catalog, tokens, extensions, self._dynamic)
        self.fairness: Fairness | None = None  # without it everybody is served at once
        self.groups = Groups(registry.cache)
        self.draining = asyncio.Event()
        # search.karmada.io beside its stored objects
        self.searching = Searching(registry, member_proxy, self.draining) if member_proxy is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.meta_routes(scope, receive, send)
            return
        path: str = scope["path"]
        headers = dict(reversed(scope["headers"]))  # of a header that comes twice the first counts, as in Go
        request = Request(
            scope["method"], path, parse_target(path), parse_query(scope["query_string"]), headers, ANONYMOUS
        )
        watched = is_watch(request)
        state = scope.setdefault("state", {})
        request.push, request.lost = state.get("push"), state.get("lost")
        request.sent_headers = scope["headers"]
        request.raw_path = scope.get("raw_path", b"").decode("latin-1") or quote(path)
        request.raw_query = scope["query_string"].decode("latin-1")
        request.chunks = scope.get("http_version") != "1.0"
        started = time.perf_counter()
        switch = state.get("switch")
        request.switchable, request.certified = switch is not None, "peer" in state
        audit_id = headers.get(b"audit-id", b"")[:MOST_AUDIT_ID]
        sender = Sender(send, state.get("answer"), audit_id, switch, state.get("break_off"))
        received = time.time() if self.auditor is not None else 0.0
        changes: Changes | None = None
        if self.journal is not None and scope["method"] not in READS:
            changes = Changes(self.journal, received or time.time())
        try:
            if "user" in state:  # a caller in this process (a simulated member's transport)
                request.user = state["user"]
            else:
                shown = Credentials(scope["headers"], path, state.get("peer"))
                request.user = self.authentication.at_once(shown) or await self.authentication.authenticate(shown)
            if self.auditor is not None:
                self._record(self.auditor, request, sender, scope, received)
            if changes is not None:
                changes.sender = request.user
            if is_requested(headers):
                request.user = await acting(request.user, scope["headers"], self.authorizer)
                if request.audit is not None:
                    request.audit.impersonated(request.user)
            if self.fairness is not None:
                flow = seats.flow_of(self.fairness, request)
                if not seats.is_long_running(request):
                    sender.flow = flow.headers
                if not flow.level.queues.exempt and "classified" in state:
                    state["classified"](flow)
                request.seat = seats.at_once(
                    self.fairness, flow, request, self.registry, started
                ) or await seats.waited(self.fairness, flow, request, self.registry)
            request.authorizer = self.authorizer
            if MASTERS not in request.user.groups:
                await authorize(request, watched)
            elif request.audit is not None:
                request.audit.decided(ALLOWED)
            if not path.startswith(discovery.PATHS):
                state["user"] = request.user
                await self.meta_routes(scope, receive, _uncached(sender))
            elif request.seat is not None and self.fairness is not None:
                await self.fairness.paced(request.seat.flow, self._serve(request, watched, receive, sender))
            else:
                await self._serve(request, watched, receive, sender)
        except StatusError as error:
            if self.auditor is not None and request.authorizer is None and error.code == 401:
                request.user = NOBODY
                self._record(self.auditor, request, sender, scope, received)
            if not sender.status:
                await send_response(sender, request, _refusal(error, request))
        except Rejected as rejected:
            self._count_refused(request)
            await send_response(sender, request, seats.too_many_requests(rejected))
        except (Disconnected, Left):
            pass  # nobody is there to be answered, and nothing was done
        except (ConnectionError, asyncio.CancelledError):
            raise
        except (RecursionError, orjson.JSONEncodeError):  # deeper than anything real, and nothing was stored
            if not sender.status:
                await send_response(sender, request, error_response(errors.bad_request("exceeded max depth"), request))
        except Exception as error:
            log.exception("request failed", method=request.method, path=path)
            if request.audit is not None:
                request.audit.panicked(error)
            if not sender.status:
                await send_response(sender, request, error_response(errors.internal_error(str(error)), request))
        finally:
            now = time.perf_counter()
            if request.seat is not None:
                request.seat.leave(now)
                request.seat = None  # which knows the request: both would wait for the garbage collector
            if request.held:
                request.let_go()
            if request.audit is not None:
                request.audit.completed(sender.status, request.method, request.body, request.media_type)
            if changes is not None:
                changes.close(request, sender.status, scope)
            self._measure(request, watched, sender, now - started)

    def _record(self, auditor: Auditor, request: Request, sender: Sender, scope: Scope, received: float) -> None:
        """As soon as it is known who sent it, or that nobody knows; before anything is done."""
        sender.audit_id = sender.audit_id or new_uid().encode()
        request.audit = sender.record = auditor.begin(
            attributes_of(request, is_watch(request)),
            f"{request.raw_path}?{request.raw_query}" if request.raw_query else request.raw_path,
            request.headers,
            (scope.get("client") or ("",))[0],
            sender.audit_id.decode("utf-8", "replace"),
            received,
        )
        if request.audit is not None:
            request.audit.received()

    async def _serve(self, request: Request, watched: bool, receive: Receive, send: Sender) -> None:
        request.authentication, request.tokens = self.authentication, self.tokens
        target = request.target
        extensions = self.extension_proxy
        if extensions is not None and extensions.routes and (service := extensions.serves(request)) is not None:
            if request.seat is not None:  # what it takes long for keeps nobody waiting here
                request.seat.give_back()
            await extensions.serve(service, request, receive, send)
            return
        if (
            target is not None
            and target.group == SEARCH
            and self.searching is not None
            and self.searching.serves(target)
        ):
            if request.seat is not None and seats.is_long_running(request):
                request.seat.give_back()
            await self.searching.serve(request, receive, send)
            return
        if self.metrics is not None and target is not None and self.metrics.serves(target):
            if request.seat is not None:
                request.seat.give_back()
            await self.metrics.serve(request, send)
            return
        if target is None or not target.plural:
            if request.method not in ("GET", "HEAD"):
                raise errors.method_not_allowed()
            response = await self.documents.answer(request)
            if response is None and self._known_version(request.path):
                raise errors.page_not_found()
            await send_response(send, request, response or not_found_page())
            return
        kind = self.registry.catalog.get(target.group, target.version, target.plural) or await self._kind(target)
        if kind is None:
            if self._known_version(request.path):
                raise errors.page_not_found()
            await send_response(send, request, not_found_page())
            return
        if is_misplaced(kind, target, request.method):
            await send_response(send, request, not_found_page())
            return
        if target.subresource:
            if request.seat is not None and seats.is_long_running(request):
                request.seat.give_back()  # what a member takes long for keeps nobody waiting here
            if self.tunnels is not None and (kind.resource, target.subresource) == TUNNEL:
                await self.tunnels.serve(request, send)
                return
            if self.member_proxy is not None and (kind.resource, target.subresource) in STREAMED:
                await connecting(self.registry, kind, request)
                await self.member_proxy.serve(request, receive, send)
                return
        if watched and request.method == "GET":
            await self._watch(kind, target, request, receive, send)
            return
        if request.method not in ("GET", "HEAD"):
            request.body = await self._body(request, receive)
        await send_response(send, request, await dispatch(self.registry, kind, request))

    def _dynamic(self) -> list[str]:
        return self.metrics.groups() if self.metrics is not None else []

    async def _body(self, request: Request, receive: Receive) -> bytes:
        """Whoever sends slowly keeps no seat meanwhile."""
        seat = request.seat
        if seat is None:
            return await read_body(receive, self.request_timeout)
        body = await read_body(receive, self.request_timeout, seat.pause)
        if not seat.is_taken:
            request.seat = await seat.again(request.lost)
        return body

    async def _kind(self, target: Target) -> Kind | None:
        """A kind that is not there may be one that another process has just learned of."""
        found = self.registry.catalog.get(target.group, target.version, target.plural)
        if found is None and self.definitions is not None:
            await self.registry.wait_for_consistent_read()
            await self.definitions.settled(f"{target.plural}.{target.group}")
            found = self.registry.catalog.get(target.group, target.version, target.plural)
        return found

    def _known_version(self, path: str) -> bool:
        """Whether a path lies below a group that is served: its answers are Status objects, not pages."""
        parts = path.split("/")
        return parts[1] == "api" or (
            len(parts) > 2
            and any(group.name == parts[2] and _has_own(group) for group in self.registry.catalog.groups())
        )

    async def _watch(self, kind: Kind, target: Target, request: Request, receive: Receive, send: Sender) -> None:
        if "watch" not in kind.verbs:
            raise errors.method_not_supported(kind.group, kind.plural, "watch")
        options = list_options(request)
        if target.name:
            options = options._replace(fields=(*options.fields, *parse_fields(f"metadata.name={target.name}")))
        accept = for_streams(accept_of(request, kind))
        if accept.form == "PartialObjectMetadataList":  # no event has this form: kube-apiserver ends the stream at once
            await send_response(send, request, Response(200, b""))
            return
        check_form(accept, kind, request, False)
        warn_of_deprecation(kind, request)
        with metrics.watching(kind, target):
            await serve_watch(self.registry, self.groups, kind, options, request, accept, receive, send, self.draining)

    def _measure(self, request: Request, watched: bool, sender: Sender, seconds: float) -> None:
        target = request.target
        if target is None:
            return
        kind = self.registry.catalog.get(target.group, target.version, target.plural)
        if kind is None:
            return
        verb = verb_of(request.method, target, watched) or request.method
        dry = request.method not in ("GET", "HEAD") and "dryRun" in request.query
        metrics.observe(verb, kind, target, dry, sender.status, seconds, sender.size)

    def _count_refused(self, request: Request) -> None:
        target = request.target
        kind = self.registry.catalog.get(target.group, target.version, target.plural) if target is not None else None
        if target is not None and kind is not None:
            metrics.refused(verb_of(request.method, target, is_watch(request)) or request.method, kind, target)


def _refusal(error: StatusError, request: Request) -> Response:
    """What is refused before it reaches a handler has one header more, but not where it is unknown who asks."""
    response = error_response(error, request)
    if request.authentication is None and error.code != 401:
        return response._replace(headers=(*response.headers, (b"x-content-type-options", b"nosniff")))
    return response


def _uncached(send: Send) -> Send:
    """What these routes answer may not be kept either."""

    async def counted(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], COMMON[0]]
        await send(message)

    return counted


def _has_own(group: Group) -> bool:
    """Whether kinds of the server itself are in a group: below groups of definitions alone there are pages."""
    return any(not kind.definition for version in group.versions for kind in version.kinds)
