"""How a webhook that the API server asks is reached: a POST to the server of a kubeconfig, which is the whole URL."""

from __future__ import annotations

import asyncio
from collections.abc import Container

from kafila.core.webhooks import Post, WebhookError
from kafila.members.client import MemberClient
from kafila.members.kubeconfig import KubeconfigError
from kafila.members.transport import Unreachable, UnusableAnswer


def post_to(client: MemberClient, what: str = "", taken: Container[int] = (200, 201)) -> Post:
    """``what`` begins the text of every error. ``taken``: the statuses of an answer.

    The client's limit of time is also that of a credential plugin, which would otherwise be waited for as for a user's login.
    """
    limit = client.timeouts.total

    async def post(content: bytes) -> bytes:
        try:
            async with asyncio.timeout(limit):
                status, answer = await client.request("POST", "", content, probe=True)
        except Unreachable as error:
            raise WebhookError(f"{what}{error}", again=not isinstance(error, UnusableAnswer)) from None
        except KubeconfigError as error:
            raise WebhookError(f"{what}{error}", again=False) from None
        except TimeoutError:
            raise WebhookError(f"{what}no answer within {limit:g}s") from None
        if status not in taken:
            raise WebhookError(f"{what}it answered {status}", again=status >= 500 or status == 429)
        return answer

    return post
