"""What a command's TYPE names in the control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import CommandError

if TYPE_CHECKING:
    from kafila.members.client import MemberClient
    from kafila.members.discovery import APIResource


async def resource_named(client: MemberClient, kind: str, hint: str = "") -> APIResource:
    """``hint``: what else may help, behind kubectl's words. Raises CommandError, StatusError, Unreachable."""
    from kafila.members.resources import find_resource

    resource = await find_resource(client, kind)
    if resource is None:
        raise CommandError(f'the server doesn\'t have a resource type "{kind}"{hint}')
    return resource
