"""cert-manager's webhook and CA injector, unmodified, beside kube-apiserver and beside kafila: installed by its chart, and the same answers."""

from __future__ import annotations

import base64
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from differential.compare import Difference, compare
from differential.normalise import normalised
from differential.programs import APPLY, CALLER, MERGE, Ask, CallerOfWebhooks, Side, ask, free_port

pytestmark = [pytest.mark.clusters, pytest.mark.timeout(900)]
Object = dict[str, Any]
VERSION: Final = "1.21.2"
PROGRAM: Final = f"cert-manager-{VERSION}"
OWN: Final = "/api/v1/namespaces/cert-manager"
CONFIGURATIONS: Final = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations/cert-manager-webhook"
DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP: Final = "/apis/cert-manager.io/v1"
HERE: Final = f"{GROUP}/namespaces/issued"
ORDERS: Final = "/apis/acme.cert-manager.io/v1/namespaces/issued/orders"


def made(kind: str, name: str, spec: Object) -> Object:
    group = "acme.cert-manager.io" if kind == "Order" else "cert-manager.io"
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def certificate(name: str, **spec: Any) -> Object:
    whole = {"secretName": name, "dnsNames": ["example.org"], "issuerRef": {"name": "own"}, **spec}
    return made("Certificate", name, {field: value for field, value in whole.items() if value is not None})


def role(verb: str, group: str, resource: str, name: str = "") -> Object:
    rule = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
    return rule | ({"resourceNames": [name]} if name else {})


def _signed() -> str:
    """A request of a new key for example.org."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("example.org")])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    request = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


REQUEST: Final = _signed()


def certificate_request(name: str, **spec: Any) -> Object:
    return made("CertificateRequest", name, {"request": REQUEST, "issuerRef": {"name": "own"}, **spec})


def approved(by: str) -> Object:
    condition = {"type": "Approved", "status": "True", "reason": by, "message": "it is", "lastTransitionTime": TIME}
    return {"status": {"conditions": [condition]}}


TIME: Final = "2020-01-01T00:00:00Z"
REFUSED: Final[dict[str, Object]] = {
    "nothing to certify": {"dnsNames": None},
    "short": {"duration": "10m"},
    "renewed too early": {"duration": "2h", "renewBefore": "3h"},
    "algorithm": {"privateKey": {"algorithm": "RSA", "size": 16}},
    "issuer": {"issuerRef": {"name": "own", "kind": "Nobody"}},
    "several": {"dnsNames": None, "secretName": "", "ipAddresses": ["1.2.3"], "emailAddresses": ["nobody"]},
    "no usage": {"usages": ["no usage"]},
    "no number": {"revisionHistoryLimit": "many"},
}
ASKS: Final = (
    Ask("POST", f"{HERE}/issuers", made("Issuer", "own", {"selfSigned": {}})),
    Ask("POST", f"{HERE}/issuers", made("Issuer", "none", {})),
    Ask("POST", f"{HERE}/issuers", made("Issuer", "two", {"selfSigned": {}, "ca": {"secretName": "s"}})),
    Ask("POST", f"{GROUP}/clusterissuers", made("ClusterIssuer", "bad", {"vault": {"server": ""}})),
    Ask("POST", f"{HERE}/certificates", certificate("it")),
    Ask("GET", f"{HERE}/certificates/it"),
    *(Ask("POST", f"{HERE}/certificates", certificate("bad", **spec)) for spec in REFUSED.values()),
    Ask("POST", f"{HERE}/certificates?dryRun=All", certificate("dry")),
    Ask("PATCH", f"{HERE}/certificates/it", {"spec": {"dnsNames": None}}, MERGE),
    Ask("PATCH", f"{HERE}/certificates/it", {"spec": {"isCA": True}}, MERGE),
    Ask("PATCH", f"{HERE}/certificates/it?fieldManager=me&force=true", certificate("it", duration="1m"), APPLY),
    Ask("PATCH", f"{HERE}/certificates/new?fieldManager=me", certificate("new", duration="2h"), APPLY),
    Ask("PATCH", f"{HERE}/certificates/it/status", {"status": {"revision": 3}}, MERGE),
    Ask("POST", f"{HERE}/certificaterequests", certificate_request("asked", duration="2h")),
    Ask("POST", f"{HERE}/certificaterequests", certificate_request("of-bob"), user="bob"),
    Ask("POST", f"{HERE}/certificaterequests", certificate_request("of-alice", username="alice"), user="bob"),
    Ask("POST", f"{HERE}/certificaterequests", certificate_request("none", request="bm9uZQ==")),
    Ask("PATCH", f"{HERE}/certificaterequests/asked", {"spec": {"username": "bob"}}, MERGE),
    Ask("PATCH", f"{HERE}/certificaterequests/asked", {"spec": {"isCA": True}}, MERGE),
    Ask("PATCH", f"{HERE}/certificaterequests/asked/status", approved("bob"), MERGE, user="bob"),
    Ask("PATCH", f"{HERE}/certificaterequests/asked/status", approved("alice"), MERGE, user="alice"),
    Ask("PATCH", f"{HERE}/certificaterequests/asked/status", {"status": {"conditions": []}}, MERGE),
    Ask("POST", ORDERS, made("Order", "o", {"request": REQUEST, "issuerRef": {"name": "own"}, "dnsNames": ["a.b"]})),
    Ask("PATCH", f"{ORDERS}/o", {"spec": {"request": "YQ=="}}, MERGE),
    Ask("GET", f"{HERE}/certificaterequests"),
    Ask("DELETE", f"{HERE}/certificates/it"),
    Ask("GET", f"{HERE}/certificates"),
)
#: bob writes requests and what becomes of them; alice approves, too
ROLES: Final[dict[str, list[Object]]] = {
    "bob": [
        role("*", "cert-manager.io", "certificaterequests"),
        role("*", "cert-manager.io", "certificaterequests/status"),
    ],
    "alice": [
        role("*", "cert-manager.io", "certificaterequests/status"),
        role("approve", "cert-manager.io", "signers", "issuers.cert-manager.io/issued.own"),
    ],
}


def installed(side: Side, callers: CallerOfWebhooks) -> None:
    """Its chart says where the webhook is, which runs beside the server; returns when the server can reach it."""
    port = free_port()
    values = {
        "crds.enabled": "true",
        "prometheus.enabled": "false",
        "startupapicheck.enabled": "false",
        "webhook.url.host": f"localhost:{port}",
    }
    chart = side.root / f"webhooks/cert-manager-{VERSION}"
    into = ("install", "cert-manager", str(chart), "--namespace=cert-manager", "--create-namespace")
    side.run("helm-4.2.4", *into, *(f"--set={name}={value}" for name, value in values.items()))
    flags = {
        "kubeconfig": side.server.kubeconfig,
        "secure-port": port,
        "healthz-port": 0,
        "metrics-listen-address": 0,
        "dynamic-serving-ca-secret-namespace": "cert-manager",
        "dynamic-serving-ca-secret-name": "cert-manager-webhook-ca",
        "dynamic-serving-dns-names": "localhost",
        "enable-client-verification": "true",
        "client-ca-path": callers.authority,
        "client-subject-names": CALLER,
    }
    webhook = side.start("webhook", PROGRAM, "webhook", *(f"--{name}={value}" for name, value in flags.items()))
    injector = side.start("cainjector", PROGRAM, "cainjector", f"--kubeconfig={side.server.kubeconfig}")
    secret = side.wait(
        "the CA", f"{OWN}/secrets/cert-manager-webhook-ca", lambda found: "ca.crt" in found["data"], webhook
    )
    authority = secret["data"]["ca.crt"]
    for kind in ("mutating", "validating"):
        side.wait(
            f"the CA in the {kind} configuration",
            CONFIGURATIONS.format(kind),
            lambda found: all(hook["clientConfig"].get("caBundle") == authority for hook in found["webhooks"]),
            injector,
        )
    assert ask(side, Ask("POST", "/api/v1/namespaces", {"metadata": {"name": "issued"}})).status == 201
    probe = Ask("POST", f"{HERE}/certificates?dryRun=All", certificate("probe"))
    side.until("the webhook", lambda: ask(side, probe).status == 201, webhook)


def granted(side: Side) -> None:
    for user, rules in ROLES.items():
        cluster_role = {"metadata": {"name": f"cert-{user}"}, "rules": rules}
        subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        reference = {"kind": "ClusterRole", "name": f"cert-{user}", "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": f"cert-{user}"}, "roleRef": reference, "subjects": [subject]}
        for plural, body in (("clusterroles", cluster_role), ("clusterrolebindings", binding)):
            answer = ask(side, Ask("POST", f"/apis/rbac.authorization.k8s.io/v1/{plural}", body))
            assert answer.status == 201, answer


def test_the_same_answers(third_parties: tuple[Side, Side], callers: CallerOfWebhooks) -> None:
    for side in third_parties:
        installed(side, callers)
        granted(side)
    names = [found["metadata"]["name"] for found in third_parties[0].server.read(DEFINITIONS)["items"]]
    asks = [*ASKS, *(Ask("GET", f"{DEFINITIONS}/{name}") for name in names if name.endswith("cert-manager.io"))]
    answers = [[ask(side, each) for each in asks] for side in third_parties]
    differences: list[Difference] = []
    for each, expected, found in zip(asks, *answers, strict=True):
        differences += compare(f"{each.method} {each.path}", "answer", normalised(expected), normalised(found))
    assert not differences, "\n".join(map(str, differences))
    assert {answer.status for answer in answers[0]} >= {200, 201, 403, 422}
