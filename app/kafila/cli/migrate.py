"""``kafila migrate``: what is done once before the processes of a version start."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import Parameter

from . import CommandError, UsageError, given
from .flags import DatabaseURL, DataDir

_SETTINGS = (
    "data_dir",
    "database_url",
    "encryption_provider_config",
    "advertise",
    "tls_cert_file",
    "tls_private_key_file",
)


def migrate(
    *,
    database_url: DatabaseURL = "",
    data_dir: DataDir = None,
    encryption_provider_config: Annotated[
        str, Parameter(help="The file that kafila serve is given (default: KAFILA_ENCRYPTION_PROVIDER_CONFIG).")
    ] = "",
    host_kubeconfig: Annotated[
        str, Parameter(help="kubeconfig of the cluster that kafila runs in; its context names the namespace.")
    ] = "",
    kubeconfig_secret: Annotated[
        str, Parameter(help="Secret there that gets the administrator's kubeconfig, under the key kubeconfig.")
    ] = "",
    metrics_secret: Annotated[
        str, Parameter(help="Secret there that gets a certificate (ca.crt, tls.crt, tls.key) to read metrics with.")
    ] = "",
    advertise: Annotated[str, Parameter(help="HOST or HOST:PORT that clients use, as kafila serve is told.")] = "",
    tls_cert_file: Annotated[str, Parameter(help="As kafila serve is told.")] = "",
    tls_private_key_file: Annotated[str, Parameter(help="As kafila serve is told.")] = "",
) -> None:
    """Bring a database to this program's schema, and make the keys that all processes share. Processes do that when they start, too.

    With --host-kubeconfig it also fills Secrets of the cluster that kafila runs in. It may be done again.
    """
    from kafila.workers.migrating import MigratingError, Secrets
    from kafila.workers.migrating import migrate as run

    from .membership import access
    from .starting import check_files, settings_of, starting

    said = {name: value for name, value in locals().items() if name in _SETTINGS and name in given.get()}
    secrets = Secrets(kubeconfig_secret, metrics_secret)
    if any(secrets) and not host_kubeconfig:
        raise UsageError("--kubeconfig-secret and --metrics-secret need --host-kubeconfig")
    settings = settings_of(said)
    if kubeconfig_secret and not settings.advertise:
        raise UsageError("--kubeconfig-secret needs --advertise: HOST:PORT that clients use")
    check_files(settings)
    host = access(host_kubeconfig, "") if host_kubeconfig else None

    async def session() -> None:
        from kafila.core.errors import StatusError
        from kafila.members.kubeconfig import KubeconfigError
        from kafila.members.transport import Unreachable

        client = host.client() if host is not None else None
        try:
            await run(settings, client, (host.namespace if host is not None else "") or "default", secrets)
        except (MigratingError, KubeconfigError, StatusError, Unreachable) as error:
            raise CommandError(f"--host-kubeconfig {host_kubeconfig}: {' '.join(str(error).split())}") from None
        finally:
            if client is not None:
                await client.close()

    with starting(settings):
        asyncio.run(session())
