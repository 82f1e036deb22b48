"""Certificate signing requests: the server says who asks, approval decides once, the signer answers once."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kafila.registry import SYSTEM_ADMIN

from .conftest import Api, failure
from .test_authorization import ANN, grant, message, rule

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
YEAR = timedelta(days=365)


def pem(made: x509.CertificateSigningRequest | x509.Certificate) -> str:
    return base64.b64encode(made.public_bytes(Encoding.PEM)).decode()


REQUEST = pem(x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(KEY, SHA256()))
CERTIFICATE = pem(
    x509.CertificateBuilder(NAME, NAME, KEY.public_key(), 1, datetime(2020, 1, 1), datetime(2020, 1, 1) + YEAR).sign(
        KEY, SHA256()
    )
)


def request(**spec: Any) -> dict[str, Any]:
    asked = {"request": REQUEST, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    return {"metadata": {"name": "somebody"}, "spec": asked | spec}


def decision(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": "Checked", "message": "by hand", **fields}


async def test_the_server_says_who_asks(api: Api) -> None:
    made = await api.made(REQUESTS, request(username="somebody else", groups=["a"], uid="b", extra={"c": ["d"]}))
    assert made["spec"]["username"] == "system:admin"
    assert made["spec"]["groups"] == ["system:masters", "system:authenticated"]
    assert "uid" not in made["spec"]
    assert "extra" not in made["spec"]


async def test_approval_writes_conditions_and_nothing_else(api: Api) -> None:
    made = await api.made(REQUESTS, request())
    made["status"] = {"conditions": [decision("Approved")], "certificate": CERTIFICATE}
    made["spec"]["usages"] = ["server auth"]
    approved = (await api.put(f"{REQUESTS}/somebody/approval", made)).json()
    (condition,) = approved["status"]["conditions"]
    assert condition["type"] == "Approved"
    assert condition["lastUpdateTime"] == condition["lastTransitionTime"]
    assert "certificate" not in approved["status"]
    assert approved["spec"]["usages"] == ["client auth"]
    assert "managedFields" not in approved["metadata"]  # its creator owned nothing, so nobody is tracked


async def test_a_decision_is_made_once(api: Api) -> None:
    made = await api.made(REQUESTS, request())
    made["status"] = {"conditions": [decision("Approved"), decision("Denied")]}
    both = failure(await api.put(f"{REQUESTS}/somebody/approval", made), 422, "Invalid")
    assert "Approved and Denied conditions are mutually exclusive" in both["message"]
    made["status"] = {"conditions": [decision("Denied")]}
    denied = (await api.put(f"{REQUESTS}/somebody/approval", made)).json()
    denied["status"] = {}
    why = failure(await api.put(f"{REQUESTS}/somebody/approval", denied), 422, "Invalid")["message"]
    assert 'updates may not remove a condition of type "Denied"' in why


async def test_status_answers_and_does_not_decide(api: Api) -> None:
    made = await api.made(REQUESTS, request())
    made["status"] = {"conditions": [decision("Approved")]}
    why = failure(await api.put(f"{REQUESTS}/somebody/status", made), 422, "Invalid")["message"]
    assert 'updates may not add a condition of type "Approved"' in why
    approved = (await api.put(f"{REQUESTS}/somebody/approval", made)).json()
    approved["status"]["certificate"] = CERTIFICATE
    approved["status"]["conditions"][0]["reason"] = "Changed"
    signed = (await api.put(f"{REQUESTS}/somebody/status", approved)).json()
    assert signed["status"]["certificate"] == CERTIFICATE
    assert signed["status"]["conditions"][0]["reason"] == "Checked"
    signed["status"]["certificate"] = "b3RoZXI="
    why = failure(await api.put(f"{REQUESTS}/somebody/status", signed), 422, "Invalid")["message"]
    assert "updates may not modify existing certificate content" in why


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"request": "eA=="}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"request": CERTIFICATE}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"signerName": "kubernetes.io/legacy-unknown"}, "the legacy signerName is not allowed via this API version"),
    ],
)
async def test_what_is_no_request_is_refused(api: Api, spec: dict[str, Any], why: str) -> None:
    assert why in failure(await api.post(REQUESTS, request(**spec)), 422, "Invalid")["message"]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"certificate": "eA=="}, "must contain at least one CERTIFICATE PEM block"),
        ({"certificate": REQUEST}, 'only CERTIFICATE PEM blocks are allowed, found "CERTIFICATE REQUEST"'),
        ({"conditions": [decision("Failed", status="False")]}, 'supported values: "True"'),
        ({"conditions": [decision("A"), decision("A")]}, 'Duplicate value: "A"'),
    ],
)
async def test_what_is_no_answer_is_refused(api: Api, status: dict[str, Any], why: str) -> None:
    made = await api.made(REQUESTS, request())
    refused = await api.put(f"{REQUESTS}/somebody/status", {**made, "status": status})
    assert why in failure(refused, 422, "Invalid")["message"]


async def test_approving_and_signing_need_a_right_for_the_signer(api: Api) -> None:
    writes = rule(
        "update patch", "certificatesigningrequests/approval certificatesigningrequests/status", "certificates.k8s.io"
    )
    await grant(api, writes, namespace="")
    api.user = SYSTEM_ADMIN
    await api.made(REQUESTS, request())
    api.user = ANN
    path, signer = f"{REQUESTS}/somebody", "kubernetes.io/kube-apiserver-client"
    approved = {"status": {"conditions": [decision("Approved")]}}
    said = message(await api.patch(f"{path}/approval", approved))
    whose = 'certificatesigningrequests.certificates.k8s.io "somebody" is forbidden: user not permitted to'
    assert said == f'{whose} approve requests with signerName "{signer}"'
    await grant(
        api,
        rule("approve", "signers", "certificates.k8s.io", names="kubernetes.io/kubelet-serving"),
        namespace="",
        name="other",
    )
    assert (await api.patch(f"{path}/approval", approved)).status_code == 403
    await grant(api, rule("approve", "signers", "certificates.k8s.io", names=signer), namespace="", name="approver")
    assert (await api.patch(f"{path}/approval", approved)).status_code == 200
    signed = {"status": {"certificate": CERTIFICATE}}
    assert message(await api.patch(f"{path}/status", signed)) == f'{whose} sign requests with signerName "{signer}"'
    await grant(
        api, rule("sign", "signers", "certificates.k8s.io", names="kubernetes.io/*"), namespace="", name="signer"
    )
    assert (await api.patch(f"{path}/status", signed)).status_code == 200
