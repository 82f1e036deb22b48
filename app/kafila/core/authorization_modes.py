"""The names of ``--authorization-mode``. :func:`kafila.authorization.build` makes each, which mypy holds it to."""

from enum import StrEnum


class AuthorizationMode(StrEnum):
    ALWAYS_ALLOW = "AlwaysAllow"
    ALWAYS_DENY = "AlwaysDeny"
    RBAC = "RBAC"
    WEBHOOK = "Webhook"
