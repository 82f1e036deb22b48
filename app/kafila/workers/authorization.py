"""Who decides what a user may do in this process: the modes of the settings, and the server that the mode Webhook asks."""

from __future__ import annotations

from kafila.authorization import Authorizer, build, follow
from kafila.authorization.webhook import Webhook
from kafila.members.kubeconfig import load
from kafila.settings.settings import Settings
from kafila.watch import Cache

from .webhooks import post_to

_TIMEOUT = 30.0  # seconds for an answer, as kube-apiserver gives it
_AT_ONCE = 200  # requests that wait for it


def authorizer_of(cache: Cache, settings: Settings) -> Authorizer:
    """Raises KubeconfigError."""
    file = settings.authorization_webhook_config_file
    return build(follow(cache), settings.authorization_modes, _webhook(file) if file else None)


def _webhook(file: str) -> Webhook:
    client = load(file).client("authorization-webhook", qps=1e6, burst=10**6, concurrency=_AT_ONCE, timeout=_TIMEOUT)
    return Webhook(post_to(client, "authorization webhook: "))
