"""An unmodified karmada-agent beside a member."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import yaml
from cluster_federation import Federation
from cluster_harness import Member, Process, free_ports
from cryptography import x509

SECRET = ("get", "secret", "-n", "karmada-system", "karmada-kubeconfig", "--ignore-not-found", "-o", "json")


class Agent:
    """karmada-agent with the credentials that ``karmadactl register`` has left in the member for its pod."""

    def __init__(self, plane: Federation, member: Member, folder: Path) -> None:
        self.member = member
        self.credentials = folder / "karmada-kubeconfig"
        self.credentials.write_text(yaml.safe_dump(self.stored()))
        metrics, health = free_ports(2)
        pod = json.loads(member.kubectl("get", "deployment", "-n", "karmada-system", "karmada-agent", "-o", "json"))
        (container,) = pod["spec"]["template"]["spec"]["containers"]
        flags = (
            *container["command"][1:],  # what karmadactl tells it; of a flag that is given twice the last counts
            f"--karmada-kubeconfig={self.credentials}",
            f"--kubeconfig={member.kubeconfig}",
            "--controllers=*,certRotation",
            "--cert-rotation-remaining-time-threshold=1",  # at the start, and whenever somebody changes the Cluster
            "--cert-rotation-checking-interval=1h",
            "--cluster-status-update-frequency=1s",
            "--cluster-lease-duration=4s",
            "--cluster-success-threshold=0s",
            "--leader-elect=false",
            f"--metrics-bind-address=127.0.0.1:{metrics}",
            f"--health-probe-bind-address=127.0.0.1:{health}",
        )
        self.process = Process("karmada-agent", [plane.lab.bin / "agent", *flags], folder / "agent.log")

    def stored(self) -> dict:
        secret = json.loads(self.member.kubectl(*SECRET))
        return yaml.safe_load(base64.b64decode(secret["data"]["karmada-kubeconfig"]))

    def certificate(self) -> x509.Certificate:
        user = self.stored()["users"][0]["user"]
        return x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))


def register_command(plane: Federation) -> list[str]:
    printed = plane.karmadactl("token", "create", "--print-register-command").split()
    assert printed[:2] == ["karmadactl", "register"]
    return printed[1:]
