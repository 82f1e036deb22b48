"""Who decides what a user may do in this process: the modes of the settings, and the server that the mode Webhook asks."""

from __future__ import annotations

from kafila.authorization import Authorizer, build, follow
from kafila.authorization.webhook import Post, Webhook, WebhookError
from kafila.members.kubeconfig import load
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.settings.settings import Settings
from kafila.watch import Cache

_TIMEOUT = 30.0  # seconds for an answer, as kube-apiserver gives it
_AT_ONCE = 200  # requests that wait for it


def authorizer_of(cache: Cache, settings: Settings) -> Authorizer:
    """Raises KubeconfigError."""
    file = settings.authorization_webhook_config_file
    return build(follow(cache), settings.authorization_modes, Webhook(_post_to(file)) if file else None)


def _post_to(file: str) -> Post:
    """``file``: a kubeconfig, whose server is the whole URL."""
    client = load(file).client("authorization-webhook", qps=1e6, burst=10**6, concurrency=_AT_ONCE, timeout=_TIMEOUT)

    async def post(review: bytes) -> bytes:
        try:
            status, answer = await client.request("POST", "", review, probe=True)
        except (Unreachable, UnusableAnswer) as error:
            raise WebhookError(f"authorization webhook: {error}", again=isinstance(error, Unreachable)) from None
        if status not in (200, 201):
            raise WebhookError(f"authorization webhook: it answered {status}", again=status >= 500 or status == 429)
        return answer

    return post
