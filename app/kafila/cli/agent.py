"""``kafila agent``: with the flags of karmada-agent that it knows."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from kafila.placement.constants import NAMESPACE_KARMADA_CLUSTER, NAMESPACE_KARMADA_SYSTEM

from . import CommandError, UsageError
from .durations import duration
from .flags import ClusterNamespace, ClusterProvider, ClusterRegion, ClusterZones, ProxyServerAddress
from .membership import access

if TYPE_CHECKING:
    from kafila.agent.health import Health
    from kafila.members.kubeconfig import Access

_AGAIN: Final = 5.0  # seconds until it begins once more
_IN_CLUSTER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def agent(
    *,
    cluster_name: Annotated[str, Parameter(help="Name of the cluster.")],
    karmada_kubeconfig: Annotated[str, Parameter(help="Path of the kubeconfig that kafila register has left.")],
    karmada_context: Annotated[str, Parameter(help="Context in it (default: the current).")] = "",
    kubeconfig: Annotated[
        str, Parameter(help="Path of the cluster's kubeconfig (default: in a pod its account's, else kubectl's).")
    ] = "",
    context: Annotated[str, Parameter(help="Context in it (default: the current).")] = "",
    cluster_api_endpoint: Annotated[
        str, Parameter(help="Address of the cluster, for users of the proxy (default: as in its kubeconfig).")
    ] = "",
    cluster_provider: ClusterProvider = "",
    cluster_region: ClusterRegion = "",
    cluster_zones: ClusterZones = None,
    cluster_namespace: ClusterNamespace = NAMESPACE_KARMADA_CLUSTER,
    proxy_server_address: ProxyServerAddress = "",
    tunnel: Annotated[
        str, Parameter(help="None: keep no connection by which the control plane's proxy reaches the cluster.")
    ] = "",
    report_secrets: Annotated[
        str, Parameter(help="None: leave no credentials in the control plane; its proxy does not work then.")
    ] = "KubeCredentials,KubeImpersonator",
    cluster_status_update_frequency: Annotated[str, Parameter(help="How often the cluster is looked at.")] = "10s",
    cluster_lease_duration: Annotated[str, Parameter(help="Four times as long as between two renewals.")] = "40s",
    cert_rotation_checking_interval: Annotated[str, Parameter(help="How often its certificate is looked at.")] = "5m",
    cert_rotation_remaining_time_threshold: Annotated[
        float, Parameter(help="Share of the certificate's life that is left when it is renewed.")
    ] = 0.2,
    karmada_kubeconfig_namespace: Annotated[
        str, Parameter(help="Namespace of the Secret karmada-kubeconfig, which gets the new certificate too.")
    ] = NAMESPACE_KARMADA_SYSTEM,
    metrics_bind_address: Annotated[str, Parameter(help="HOST:PORT for metrics (default: none).")] = "",
    health_probe_bind_address: Annotated[
        str, Parameter(help="HOST:PORT for /healthz, /livez and /readyz (default: none).")
    ] = "",
    cluster_success_threshold: Annotated[str, Parameter(help="For how long it has to answer again.")] = "30s",
    cluster_failure_threshold: Annotated[str, Parameter(help="For how long it has to fail.")] = "30s",
) -> None:
    """Carry out in a cluster what a control plane has placed there, and report back (Pull mode)."""
    from kafila.agent.session import AgentOptions
    from kafila.settings.federation import FederationOptions
    from kafila.telemetry.logs import configure

    configure("info")
    member = _in_cluster() if not kubeconfig and _IN_CLUSTER.is_dir() else access(kubeconfig, context)
    options = AgentOptions(
        name=cluster_name,
        endpoint=cluster_api_endpoint or member.endpoint,
        provider=cluster_provider,
        region=cluster_region,
        zones=tuple(zone for text in cluster_zones or () for zone in text.split(",") if zone),
        proxy=proxy_server_address,
        cluster_namespace=cluster_namespace,
        report_secrets=report_secrets != "None",
        lease_duration=duration(cluster_lease_duration, "--cluster-lease-duration"),
        insecure=member.tls.insecure,
        rotation_interval=duration(cert_rotation_checking_interval, "--cert-rotation-checking-interval"),
        rotation_threshold=_share(cert_rotation_remaining_time_threshold),
        secret=(karmada_kubeconfig_namespace, "karmada-kubeconfig"),
    )
    federation = FederationOptions(
        cluster_status_frequency=duration(cluster_status_update_frequency, "--cluster-status-update-frequency"),
        cluster_success_threshold=duration(cluster_success_threshold, "--cluster-success-threshold"),
        cluster_failure_threshold=duration(cluster_failure_threshold, "--cluster-failure-threshold"),
    )
    if tunnel not in ("", "None"):
        raise UsageError(f'invalid --tunnel "{tunnel}": must be None or not be given')
    tunnelled = tunnel != "None" and options.report_secrets
    plane_access = access(karmada_kubeconfig, karmada_context)
    if metrics_bind_address:
        _serve_metrics(metrics_bind_address)

    async def run() -> None:
        nonlocal plane_access
        import structlog

        from kafila.agent.health import Health
        from kafila.agent.session import Renewed, Session
        from kafila.agent.tunnel import TunnelKeeper
        from kafila.core.errors import StatusError
        from kafila.machinery.yamlout import dump_text
        from kafila.members.agent_authority import followed, told
        from kafila.members.join import JoinError
        from kafila.members.kubeconfig import KubeconfigError, with_certificate, write
        from kafila.members.transport import Unreachable

        log = structlog.get_logger(__name__)
        keeps = tunnelled
        try:
            if tunnelled:
                TunnelKeeper(plane_access, member, cluster_name)
        except ValueError as error:  # it works without one
            log.warning("no tunnel", reason=str(error))
            keeps = False
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        stopped = asyncio.create_task(stopping.wait())
        health = Health()
        if health_probe_bind_address:
            await _serve_health(health, health_probe_bind_address)
        while not stopping.is_set():
            plane, cluster = plane_access.client(cluster_name), member.client(cluster_name)

            def store(certificate: bytes, key: bytes, said: bytes) -> str:
                nonlocal plane_access
                file, authority = Path(karmada_kubeconfig), followed(plane_access.tls.authority, said)
                tls = plane_access.tls._replace(authority=authority, certificate=certificate, key=key)
                config = with_certificate(file, karmada_context, tls)
                plane_access = replace(plane_access, tls=tls)
                try:
                    write(file, config)
                except OSError as error:  # a Secret's volume, which follows the Secret
                    log.info("kubeconfig not written", file=str(file), error=error.strerror)
                return dump_text(config)

            keeper = TunnelKeeper(plane_access, member, cluster_name) if keeps else None
            told_now = partial(told, plane_access)
            session = Session(plane, cluster, plane_access.tls, options, federation, store, keeper, told_now, health)
            running = asyncio.create_task(session.run())
            try:
                await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
                running.cancel()
                await running
            except (asyncio.CancelledError, Renewed):
                continue
            except JoinError as error:
                raise CommandError(str(error)) from None
            except (KubeconfigError, StatusError, Unreachable) as error:
                log.warning("not begun, tried again", error=str(error), again_in=_AGAIN)
                await asyncio.wait({stopped}, timeout=_AGAIN)
            except ExceptionGroup:
                log.exception("stumbled, begun anew", again_in=_AGAIN)
                await asyncio.wait({stopped}, timeout=_AGAIN)
            finally:
                await plane.close()
                await cluster.close()
        await health.stop()

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # TLS of a tunnel's bytes
        runner.run(run())


def _share(given: float) -> float:
    if not 0 < given < 1:
        raise UsageError(f"--cert-rotation-remaining-time-threshold {given} must be between 0 and 1")
    return given


def _split(address: str) -> tuple[str, int]:
    """Raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


async def _serve_health(health: Health, address: str) -> None:
    try:
        await health.serve(*_split(address))
    except (OSError, ValueError, OverflowError) as error:
        raise CommandError(f"--health-probe-bind-address {address} cannot be listened on: {error}") from None


def _serve_metrics(address: str) -> None:
    from prometheus_client import start_http_server

    try:
        host, port = _split(address)
        start_http_server(port, host)
    except (OSError, ValueError, OverflowError) as error:
        raise CommandError(f"--metrics-bind-address {address} cannot be listened on: {error}") from None


def _in_cluster() -> Access:
    import os

    from kafila.members.kubeconfig import Access, file_token
    from kafila.members.transport import TLS

    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise CommandError("this is a pod without KUBERNETES_SERVICE_HOST: give --kubeconfig")
    endpoint = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    authority = (_IN_CLUSTER / "ca.crt").read_bytes()
    return Access("", endpoint, TLS(authority), file_token(_IN_CLUSTER / "token"))
