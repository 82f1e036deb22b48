"""A control plane with an extension server behind it that answers whatever the test wants, over TLS."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, final

from kafila.aggregation import Routes
from kafila.aggregation.documents import ExtensionDocuments
from kafila.aggregation.requests import Extensions
from kafila.api.aggregating import ExtensionProxy
from kafila.api.app import ObjectsApp
from kafila.api.meta import build_shell
from kafila.identity.certificates import KeyPair, issue, new_authority
from kafila.reconcile.kubernetes.api_services import APIServices
from tests.attack.members import Hostile, hostile

FRONT_PROXY = new_authority("front-proxy-ca")
SERVERS = new_authority("extension-ca")
CLIENT = issue(FRONT_PROXY, "front-proxy-client")
SERVER_NAME = "wardle.default.svc"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


def context(folder: Path) -> ssl.SSLContext:
    """The extension server's: it asks for a certificate of our front proxy."""
    pair = issue(SERVERS, "wardle", hosts=[SERVER_NAME])
    file = folder / "extension.pem"
    file.write_bytes(pair.certificate + b"\n" + pair.key)
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(file)
    found.load_verify_locations(cadata=FRONT_PROXY.certificate.decode())
    found.verify_mode = ssl.CERT_REQUIRED
    return found


@final
class Extended:
    """``api`` with what makes it give groups away; ``server`` is who gets them."""

    def __init__(self, api: Any, server: Hostile) -> None:
        self.api, self.server = api, server
        self.port = int(server.endpoint.rpartition(":")[2])
        self.identity: KeyPair = CLIENT
        self.extensions = Extensions(api.cache, lambda: self.identity)
        self.documents = ExtensionDocuments(Routes(api.cache), self.extensions)
        self.proxy = ExtensionProxy(self.documents.routes, self.extensions)
        self.controller = APIServices(api.registry, self.extensions)
        api.app = ObjectsApp(
            api.registry,
            build_shell({}),
            authorizer=api.authorizer,
            extension_proxy=self.proxy,
            extensions=self.documents,
        )
        self.following = asyncio.create_task(self.documents.follow())

    async def open(self) -> Extended:
        await self.controller.start()
        return self

    async def close(self) -> None:
        self.following.cancel()
        await asyncio.gather(self.following, return_exceptions=True)
        await self.controller.stop()
        await self.proxy.close()
        await self.extensions.close()

    async def registered(self, group: str = "wardle.example.com", **spec: Any) -> None:
        """A Service that leads to the server, and an APIService that gives it a group."""
        where = {"type": "ExternalName", "externalName": "localhost"}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "wardle"}, "spec": where}
        await self.api.post("/api/v1/namespaces/default/services", service)
        await self.api.made(APISERVICES, self.apiservice(group, **spec))
        await self.settled()

    def apiservice(self, group: str = "wardle.example.com", **spec: Any) -> dict[str, Any]:
        reference = {"namespace": "default", "name": "wardle", "port": self.port}
        given = {
            "group": group,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 10,
            "service": reference,
            "caBundle": base64.b64encode(SERVERS.certificate).decode(),
            **spec,
        }
        metadata = {"name": f"v1.{group}"}
        return {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": metadata, "spec": given}

    async def settled(self) -> None:
        await self.controller.queue.idle()

    async def condition(self, group: str = "wardle.example.com") -> dict[str, Any]:
        await self.settled()
        found = (await self.api.get(f"{APISERVICES}/v1.{group}")).json()
        return found["status"]["conditions"][0]


@asynccontextmanager
async def extended(api: Any, folder: Path) -> AsyncIterator[Extended]:
    async with hostile(context(folder)) as server:
        found = await Extended(api, server).open()
        try:
            yield found
        finally:
            await found.close()
