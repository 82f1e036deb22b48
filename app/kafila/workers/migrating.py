"""What is done once before the processes of a version start: the schema, the keys that all share, and who may come in first.

An installation in a cluster has a Job for it. Processes also do it themselves, so that none has to wait for it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import NamedTuple

from kafila.core.errors import StatusError
from kafila.identity.certificates import issue
from kafila.identity.keys import shared_keys
from kafila.identity.kubeconfig import kubeconfig
from kafila.members.client import MemberClient, resource_path
from kafila.settings.checks import host_and_port
from kafila.settings.settings import Settings
from kafila.store.migrate import HEAD
from kafila.watch import Cache

from .certificates import LOOPBACK
from .serve import open_data

Print = Callable[[str], None]
MONITORING = "system:monitoring"


class Secrets(NamedTuple):
    """Names of Secrets in a host cluster that are there, and get what is needed to come in; "" is none."""

    kubeconfig: str = ""
    metrics: str = ""


class MigratingError(Exception):
    """One line for users."""


async def migrate(
    settings: Settings, host: MemberClient | None, namespace: str, secrets: Secrets, report: Print = print
) -> None:
    """May be done again: then who comes in gets new certificates. Raises MigratingError, StatusError, Unreachable, what
    :func:`kafila.workers.serve.open_data` raises, and KeysNeeded."""
    data = await open_data(settings)
    try:
        report(f"the database has schema {HEAD}")
        cache = Cache(data.store)
        await cache.load()
        authority = (await shared_keys(data.store, cache)).authority
    finally:
        await data.store.close()
        if data.at_rest is not None:
            await data.at_rest.encryption.close()
    if host is None:
        return
    if secrets.kubeconfig:
        admin = authority.with_chain(issue(authority.pair, "system:admin", ["system:masters"]))
        name = LOOPBACK if settings.tls_cert_file else ""  # its CA is not ours
        config = kubeconfig(server_of(settings), authority.bundle, admin, name)
        await _fill(host, namespace, secrets.kubeconfig, {"kubeconfig": config}, report)
    if secrets.metrics:
        client = authority.with_chain(issue(authority.pair, "kafila-metrics", [MONITORING]))
        files = {"ca.crt": authority.bundle, "tls.crt": client.certificate, "tls.key": client.key}
        await _fill(host, namespace, secrets.metrics, files, report)


def server_of(settings: Settings) -> str:
    """Where clients reach the control plane."""
    host, port = host_and_port(settings.advertise) if settings.advertise else (settings.host, None)
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}:{port or settings.port}"


async def _fill(host: MemberClient, namespace: str, name: str, files: dict[str, bytes], report: Print) -> None:
    """Other keys of it stay."""
    data = {key: base64.b64encode(content).decode() for key, content in files.items()}
    try:
        await host.patch(resource_path("v1", "secrets", namespace, name), {"data": data})
    except StatusError as error:
        if error.is_not_found:
            raise MigratingError(f"the Secret {namespace}/{name} does not exist: make it first, empty") from None
        raise
    report(f"secret {namespace}/{name} has {', '.join(sorted(files))}")
