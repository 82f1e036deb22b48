"""The host cluster: objects there, by the rendered chart's kinds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from kafila.core.errors import ignoring_not_found
from kafila.core.values import Object
from kafila.members.client import APPLY_PATCH, MemberClient, resource_path

from .manifests import MANAGED_BY, MANAGER, RESOURCES

Print = Callable[[str], None]
CLOUD_NATIVE_PG: Final = "postgresql.cnpg.io/v1"
POLL: Final = 0.5  # seconds


class InstallationError(Exception):
    """One line for users."""


def path_of(obj: Object) -> str:
    metadata = obj["metadata"]
    return resource_path(obj["apiVersion"], RESOURCES[obj["kind"]], metadata["namespace"], metadata["name"])


def shown(obj: Object) -> str:
    return f"{obj['kind'].lower()}/{obj['metadata']['name']}"


async def apply(host: MemberClient, obj: Object, dry_run: bool = False) -> Object:
    """Raises StatusError."""
    query = {"fieldManager": MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
    return await host.patch(path_of(obj), obj, content_type=APPLY_PATCH, query=query)


async def delete(host: MemberClient, path: str, uid: str = "") -> bool:
    """Whether it was there."""
    with ignoring_not_found():
        await host.delete(path, uid=uid, propagation="Background")
        return True
    return False


async def check_not_helms(host: MemberClient, namespace: str) -> None:
    """Raises InstallationError where Helm has installed kafila there."""
    query = {"labelSelector": "app.kubernetes.io/name=kafila"}
    for each in (await host.list(resource_path("apps/v1", "deployments", namespace), query=query))[0]:
        if (manager := each["metadata"]["labels"].get(MANAGED_BY)) not in (None, MANAGER):
            name = each["metadata"]["name"]
            raise InstallationError(f"deployment {namespace}/{name} is managed by {manager}: go on with that")


async def eventually(what: str, deadline: float, look: Callable[[], Any], trouble: Callable[[], Any]) -> None:
    """Until ``await look()``; ``await trouble()`` says meanwhile what holds it up, and raises what cannot come right."""
    while not await look():
        why = await trouble()
        if time.monotonic() > deadline:
            raise InstallationError(
                f"{what} did not come about in time{': ' + why if why else ''}; to go on, run the same again"
            )
        await asyncio.sleep(POLL)
