"""Requests for groups that an APIService gives to an extension server: passed on as the caller, over our front proxy's certificate."""

from __future__ import annotations

from typing import Final, final

from kafila.aggregation.apiservices import APIService, Routes
from kafila.aggregation.requests import Extensions, caller
from kafila.core import errors
from kafila.members.proxy import request_headers, target_of, upgrade_headers
from kafila.webhooks.services import Unresolved

from .bodies import Receive
from .relaying import Relay
from .request import Request
from .responses import Sender, send_response, text_response
from .upgrades import wanted

_SCHEMAS: Final = "/openapi/v3/apis/"


@final
class ExtensionProxy:
    def __init__(self, routes: Routes, extensions: Extensions) -> None:
        self.routes = routes
        self._extensions = extensions
        self._relay = Relay()

    def serves(self, request: Request) -> APIService | None:
        """The APIService whose server answers this request."""
        if not self.routes:
            return None
        if request.path.startswith(_SCHEMAS):
            group, _, version = request.path.removeprefix(_SCHEMAS).strip("/").partition("/")
            return self.routes.of(group, version)
        target = request.target
        return self.routes.of(target.group, target.version) if target is not None and target.group else None

    async def serve(self, service: APIService, request: Request, receive: Receive, send: Sender) -> None:
        """Raises StatusError as long as nothing was sent."""
        protocol = wanted(request)
        if not service.available:
            await send_response(send, request, text_response("service unavailable\n", 503))
            return
        try:
            given = request.sent_headers
            headers = upgrade_headers(given, protocol) if protocol else request_headers(given)
            headers += caller(request.user)
        except ValueError as error:
            raise errors.forbidden(service.group, "", "", str(error)) from None
        try:
            connections = await self._extensions.connections(service)
        except Unresolved:
            await send_response(send, request, text_response("service unavailable\n", 503))
            return
        target = target_of(request.raw_path, request.raw_query)
        await self._relay.serve(connections, request, target, headers, receive, send, "")

    async def close(self) -> None:
        await self._relay.close()
