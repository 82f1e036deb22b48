"""Karmada's own scheduler-estimators, unmodified, one beside each member."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster_harness import LOOPBACK, Member, Members, Process, free_ports, wait_until

from kafila.identity.certificates import issue, new_authority

NAMESPACE = "karmada-system"


def write_credentials(folder: Path) -> None:
    """ca.crt; server.crt and client.crt with their keys."""
    authority = new_authority("estimators")
    (folder / "ca.crt").write_bytes(authority.certificate)
    for name, hosts in (("server", [LOOPBACK]), ("client", [])):
        pair = issue(authority, name, hosts=hosts)
        (folder / f"{name}.crt").write_bytes(pair.certificate)
        (folder / f"{name}.key").write_bytes(pair.key)


def client_flags(credentials: Path) -> tuple[str, ...]:
    """With which a control plane, or Karmada's descheduler, asks them."""
    return (
        f"--scheduler-estimator-ca-file={credentials / 'ca.crt'}",
        f"--scheduler-estimator-cert-file={credentials / 'client.crt'}",
        f"--scheduler-estimator-key-file={credentials / 'client.key'}",
    )


@contextlib.contextmanager
def estimator_of(lab: Members, member: Member, credentials: Path) -> Iterator[dict[str, Any]]:
    """Runs one; yields the Service by which a control plane finds it."""
    port, health = free_ports(2)
    flags = {
        "kubeconfig": member.kubeconfig,
        "cluster-name": member.name,
        "server-port": port,
        "grpc-auth-cert-file": credentials / "server.crt",
        "grpc-auth-key-file": credentials / "server.key",
        "grpc-client-ca-file": credentials / "ca.crt",
        "metrics-bind-address": 0,
        "health-probe-bind-address": f"{LOOPBACK}:{health}",
    }
    command = [lab.bin / "scheduler-estimator", *(f"--{name}={value}" for name, value in flags.items())]
    process = Process(f"{member.name}-estimator", command, member.folder / "estimator.log")
    process.start()
    try:
        wait_until("an estimator", lambda: _listens(port), process)
        yield _service(member.name, port)
    finally:
        process.stop()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def _service(cluster: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"karmada-scheduler-estimator-{cluster}", "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": LOOPBACK, "ports": [{"port": 10352, "targetPort": port}]},
    }
