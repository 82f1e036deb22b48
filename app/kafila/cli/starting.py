"""What a user sees when a control plane cannot start: one line that names the flag and says what would be right."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from kafila.core.sockets import bind
from kafila.settings.settings import Settings

from . import CommandError, UsageError

_AUTHENTICATION = (
    "client_ca_file",
    "requestheader_client_ca_file",
    "token_auth_file",
    "service_account_key_file",
    "service_account_signing_key_file",
    "authentication_config",
    "authentication_token_webhook_config_file",
)  # only who uses one of them pays for reading it
_TLS = ("tls_cert_file", "tls_private_key_file", "tls_sni_cert_key")
_AT_REST = ("encryption_provider_config", "encryption_provider_config_automatic_reload")
_AUDIT = ("audit_policy_file", "audit_log_path", "audit_webhook_config_file")
_PASSWORD = re.compile(r"(://[^/@]*:)[^@]*(@)")


def settings_of(said: Mapping[str, Any]) -> Settings:
    """The settings of a command line; what it does not say may be said by the environment. Raises UsageError."""
    try:
        return Settings(**said)
    except ValidationError as error:
        raise UsageError("; ".join(_refusal(each, said) for each in error.errors(include_url=False))) from None


def _refusal(error: Any, said: Mapping[str, Any]) -> str:
    name = str(error["loc"][0]).lower()
    flag = f"--{name.replace('_', '-')}"
    variable = f"KAFILA_{name.upper()}"
    where = f"{variable} in the environment" if name not in said and variable in os.environ else flag
    reason = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"invalid value '{_shown(error['input'])}' for {where}: {reason}"


def check_files(settings: Settings) -> None:
    """What files say that TLS, authentication, audit, encryption and webhooks need. Raises UsageError."""
    found: tuple[str, str] | None = None
    if any(value for name, value in settings if name in _TLS):
        from kafila.workers import certificates

        found = certificates.wrong_file(settings)
    if found is None and any(value for name, value in settings if name in _AUTHENTICATION):
        from kafila.workers import authentication

        found = authentication.wrong_file(settings)
    if found is None and any(value for name, value in settings if name in _AUDIT):
        from kafila.workers import audit

        found = audit.wrong_file(settings)
    if found is None and any(value for name, value in settings if name in _AT_REST):
        from kafila.workers import encryption

        found = encryption.wrong_file(settings)
    if found is None and settings.admission_control_config_file:
        from kafila.workers import admission

        found = admission.wrong_file(settings)
    if found is None and settings.proxy_client_cert_file:
        from kafila.workers import aggregation

        found = aggregation.wrong_file(settings)
    if found is not None:
        name, reason = found
        flag = f"--{name.replace('_', '-')}"
        raise UsageError(f"invalid value '{_shown(getattr(settings, name))}' for {flag}: {reason}")


def _shown(value: Any) -> str:
    """As it stands on the command line."""
    return _masked(" ".join(value) if isinstance(value, list) else str(value))


def _masked(text: str) -> str:
    """A URL without its password."""
    return _PASSWORD.sub(r"\1***\2", text)


def listen(settings: Settings) -> list[socket.socket]:
    """The sockets that will serve, none where nothing is served; taken first, so that nothing starts for an address that is not to be had.
    Raises UsageError."""
    if not settings.listens:
        return []
    try:
        return bind(settings.host, settings.port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot listen on --bind {settings.bind}: {reason}: give another HOST:PORT; port 0 takes a free one"
        ) from None


@contextmanager
def starting(settings: Settings) -> Iterator[None]:
    """Around the life of a control plane: what it cannot start or go on without is one line. Raises CommandError."""
    from kafila.store.accounts import EmbeddedError
    from kafila.store.connect import DatabaseError
    from kafila.store.interface import StoreUnavailable
    from kafila.store.migrate import MigrationError
    from kafila.store.sealing import KeysNeeded

    try:
        yield
    except KeysNeeded as error:
        where = f"--encryption-provider-config {settings.encryption_provider_config}"
        where = where if settings.encryption_provider_config else _where(settings)
        raise CommandError(f"{where}: {_reason(error)}") from error
    except (EmbeddedError, MigrationError, StoreUnavailable, OSError, DatabaseError, ExceptionGroup) as error:
        first: Exception = error
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if not isinstance(first, EmbeddedError | MigrationError | StoreUnavailable | OSError | DatabaseError):
            raise
        raise CommandError(f"{_where(settings)}: {_reason(first)}") from error


def _where(settings: Settings) -> str:
    if not settings.database_url:
        return f"--data-dir {settings.data_dir}"
    return f"--database-url {_masked(settings.database_url)}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
