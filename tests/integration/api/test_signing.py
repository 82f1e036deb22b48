"""Certificate requests over the whole way, with kubectl: approved, signed, believed; those of agents approve themselves."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .conftest import Served

CLIENT = "kubernetes.io/kube-apiserver-client"
USAGES = ["digital signature", "key encipherment", "client auth"]


class Applicant:
    def __init__(self, name: str, *groups: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        self.request = (
            x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(self.key, hashes.SHA256())
        )

    def csr(self, name: str, usages: list[str] = USAGES, **spec: Any) -> str:
        pem = self.request.public_bytes(serialization.Encoding.PEM)
        given = {"request": base64.b64encode(pem).decode(), "signerName": CLIENT, "usages": usages, **spec}
        document = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
        return json.dumps({**document, "metadata": {"name": name}, "spec": given})

    def kubeconfig(self, served: Served, certificate: str, file: Path) -> Path:
        config = yaml.safe_load(served.kubeconfig.read_text())
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        user = {"client-certificate-data": certificate, "client-key-data": base64.b64encode(key).decode()}
        config["users"][0]["user"] = user
        file.write_text(yaml.safe_dump(config))
        return file


def certificate(served: Served, name: str) -> str:
    served.kubectl("wait", f"csr/{name}", "--for=jsonpath={.status.certificate}", "--timeout=60s")
    return served.kubectl("get", "csr", name, "-o", "jsonpath={.status.certificate}")


def test_a_request_is_approved_signed_and_believed(served: Served, tmp_path: Path) -> None:
    ann = Applicant("ann", "team-a")
    served.kubectl("create", "-f", "-", stdin=ann.csr("ann", expirationSeconds=3600))
    assert "Pending" in served.kubectl("get", "csr", "ann")
    served.kubectl("certificate", "approve", "ann")
    issued = certificate(served, "ann")
    assert "Approved,Issued" in served.kubectl("get", "csr", "ann")
    found = x509.load_pem_x509_certificate(base64.b64decode(issued))
    assert (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() == 3600 + 300
    file = ann.kubeconfig(served, issued, tmp_path / "ann")
    shown = served.kubectl("auth", "whoami", f"--kubeconfig={file}", "-o", "yaml")
    who = yaml.safe_load(shown)["status"]["userInfo"]
    assert (who["username"], who["groups"]) == ("ann", ["team-a", "system:authenticated"])


def test_one_that_its_signer_does_not_sign_says_why(served: Served) -> None:
    bob = Applicant("bob")
    served.kubectl("create", "-f", "-", stdin=bob.csr("bob", ["digital signature", "server auth"]))
    served.kubectl("certificate", "approve", "bob")
    served.kubectl("wait", "csr/bob", "--for=condition=Failed", "--timeout=60s")
    status = json.loads(served.kubectl("get", "csr", "bob", "-o", "json"))["status"]
    failed = status["conditions"][-1]
    assert (failed["reason"], failed["message"]) == (
        "SignerValidationFailure",
        "invalid usage for client certificate: server auth",
    )
    assert "certificate" not in status
    served.kubectl("create", "-f", "-", stdin=bob.csr("denied"))
    served.kubectl("certificate", "deny", "denied")
    served.kubectl("create", "-f", "-", stdin=bob.csr("later"))
    served.kubectl("certificate", "approve", "later")
    certificate(served, "later")  # the one before it was looked at by then
    assert "Denied" in served.kubectl("get", "csr", "denied")
    assert not served.kubectl("get", "csr", "denied", "-o", "jsonpath={.status.certificate}")


@pytest.fixture
def registrar(served: Served) -> str:
    """Somebody who may register agents, as ``karmadactl register`` does with a bootstrap token."""
    served.kubectl("create", "serviceaccount", "registrar", "-n", "default")
    verbs = "--verb=create,get,list,watch"
    served.kubectl("create", "clusterrole", "registrar", verbs, "--resource=certificatesigningrequests")
    served.kubectl(
        "create", "clusterrolebinding", "registrar", "--clusterrole=registrar", "--serviceaccount=default:registrar"
    )
    return "--as=system:serviceaccount:default:registrar"


def test_agents_are_approved_where_who_asks_may_have_one(served: Served, registrar: str) -> None:
    groups = ("--as-group=system:authenticated",)
    agent = Applicant("system:karmada:agent:member1", "system:karmada:agents")
    served.kubectl("create", "-f", "-", registrar, *groups, stdin=agent.csr("too-early"))
    served.kubectl(
        "create", "clusterrole", "agents", "--verb=create", "--resource=certificatesigningrequests/clusteragent"
    )
    served.kubectl(
        "create", "clusterrolebinding", "agents", "--clusterrole=agents", "--serviceaccount=default:registrar"
    )
    served.kubectl("create", "-f", "-", registrar, *groups, stdin=agent.csr("member1"))
    issued = x509.load_pem_x509_certificate(base64.b64decode(certificate(served, "member1")))
    assert issued.subject == agent.request.subject
    status = json.loads(served.kubectl("get", "csr", "member1", "-o", "json"))["status"]
    (approved,) = status["conditions"]
    assert (approved["type"], approved["reason"]) == ("Approved", "AutoApproved")
    assert approved["message"] == "Auto approving karmada agent certificate after SubjectAccessReview."
    assert "Pending" in served.kubectl("get", "csr", "too-early")  # nobody asks again, as in Karmada
    other = Applicant("system:karmada:agent:member1", "system:karmada:agents", "system:masters2")
    served.kubectl("create", "-f", "-", registrar, *groups, stdin=other.csr("more-than-an-agent"))
    served.kubectl("create", "-f", "-", registrar, *groups, stdin=agent.csr("again"))
    certificate(served, "again")
    assert "Pending" in served.kubectl("get", "csr", "more-than-an-agent")
    made = {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "member1"}}
    served.kubectl("create", "-f", "-", stdin=json.dumps({**made, "spec": {"syncMode": "Pull"}}))
    served.kubectl("create", "-f", "-", registrar, *groups, stdin=agent.csr("taken-over"))
    reason = "--field-selector=reason=AgentRequestNotApproved"
    served.kubectl("wait", "events", reason, "--for=jsonpath={.involvedObject.name}=taken-over", "--timeout=60s")
    assert "Pending" in served.kubectl("get", "csr", "taken-over")
    served.kubectl("delete", "cluster", "member1")


def test_who_registers_a_cluster_has_a_certificate_for_a_short_time(served: Served) -> None:
    registrar = Applicant("system:karmada:agent:rbac-generator", "system:karmada:agents")
    served.kubectl("create", "-f", "-", stdin=registrar.csr("registrar", expirationSeconds=31536000))
    served.kubectl("certificate", "approve", "registrar")
    found = x509.load_pem_x509_certificate(base64.b64decode(certificate(served, "registrar")))
    assert (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() == 3600 + 300
