"""Registering a cluster in pull mode: credentials for its agent by a bootstrap token, and the agent's Deployment in the cluster.

What karmadactl does, under its names, so that either undoes what the other did. Every step may be repeated: what was begun is
finished, and credentials that are there and still good are kept, or exchanged while the control plane's CA is.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import time
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from kafila.catalog.karmada.agent_roles import agent_roles
from kafila.core import bootstrap_tokens as tokens
from kafila.core.agents import GENERATOR, GROUP, PREFIX, why_unfit
from kafila.core.bootstrap_tokens import BootstrapToken
from kafila.core.errors import StatusError
from kafila.core.names import new_uid
from kafila.core.values import Object
from kafila.machinery import yaml
from kafila.machinery.yamlout import dump_text
from kafila.placement import constants

from .accounts import JoinError, Print
from .agent_authority import authority_in, is_believed, is_current
from .agent_deployment import AGENT_SECRET, Registering, ensure_agent
from .client import MemberClient, resource_path
from .join import CLUSTERS, name_problems
from .kubeconfig import access, document
from .transport import TLS, Unreachable

REQUESTS: Final = resource_path("certificates.k8s.io/v1", "certificatesigningrequests")
USAGES: Final = ["digital signature", "key encipherment", "client auth"]
SIGNER: Final = "kubernetes.io/kube-apiserver-client"
POLL: Final = 0.2


def problems(wanted: Registering) -> str:
    """What is wrong with it, before anybody is asked."""
    if found := name_problems(wanted.name):
        return f"invalid cluster name({wanted.name}): {';'.join(found)}"
    if why := why_unfit(wanted.name):
        return f"a cluster in pull mode cannot be called {wanted.name}: {why}"
    if not wanted.token:
        return "token is required: kafila token create prints one, where the control plane is"
    if tokens.TOKEN.fullmatch(wanted.token) is None:
        return 'the bootstrap token was not of the form "[a-z0-9]{6}.[a-z0-9]{16}"'
    if not wanted.pins and not wanted.unsafe:
        return "need --discovery-token-ca-cert-hash, or --discovery-token-unsafe-skip-ca-verification"
    for pin in wanted.pins:
        kind, _, value = pin.partition(":")
        if kind != "sha256" or len(value) != 64 or set(value.lower()) - set("0123456789abcdef"):
            return f'invalid CA certificate hash "{pin}": must be sha256: and 64 hexadecimal digits'
    return ""


async def register(member: MemberClient, wanted: Registering, report: Print = print) -> None:
    """Raises JoinError, or what the APIs said."""
    if why := problems(wanted):
        raise JoinError(why)
    await member.get(resource_path("v1", "namespaces", name="kube-system"))
    with _naming(wanted):
        authority = await discover(wanted)
    if wanted.dry_run:
        report(f"cluster({wanted.name}) would be registered (dry run)")
        return
    config, said = await _known_credentials(member, wanted, authority), "; its credentials were there and are kept"
    with _naming(wanted):
        if config is None:
            config, said = await _new_credentials(wanted, authority), ""
        elif not is_believed(tls := agent_tls(config)._replace(authority=authority), authority):
            config = await _renewed_credentials(wanted, tls)
            said = "; its credentials are exchanged, as the control plane's CA was"
        elif not is_current(agent_tls(config), authority):
            config = _document(wanted, tls)
            said = "; its credentials are kept, and the control plane's CA in them is the one of now"
    await ensure_agent(member, wanted, dump_text(config))
    if wanted.image:
        then = f"Its agent reports within a minute: kubectl get cluster {wanted.name}"
    else:
        then = f"Its agent is for you to run, with the Secret {wanted.namespace}/{AGENT_SECRET}"
    report(f"cluster({wanted.name}) is registered{said}. {then}")


@contextlib.contextmanager
def _naming(wanted: Registering) -> Iterator[None]:
    """Of two servers it is the control plane that cannot be reached. Raises JoinError."""
    try:
        yield
    except Unreachable as error:
        raise JoinError(f"cannot reach https://{wanted.endpoint}: {error}") from None


# -- whom we talk to ----------------------------------------------------------------------------------------------------


def pin_of(certificate: x509.Certificate) -> str:
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(key).hexdigest()}"


async def discover(wanted: Registering) -> bytes:
    """PEM of the control plane's CA: signed with the token's secret, and one of the pins. Raises JoinError."""
    identifier, _, secret = wanted.token.partition(".")
    token = BootstrapToken(identifier, secret, frozenset())
    deadline = time.monotonic() + wanted.timeout
    told = await _cluster_info(wanted, TLS(insecure=True), token, deadline)
    try:
        authority = authority_in(told)
    except ValueError as error:
        raise JoinError(f"cluster-info of the control plane names no CA: {error}") from None
    if wanted.pins:
        found = {pin_of(each) for each in x509.load_pem_x509_certificates(authority)}
        if not found & {pin.lower() for pin in wanted.pins}:
            raise JoinError(
                f"the CA of {wanted.endpoint} is none of --discovery-token-ca-cert-hash: another server answers"
            )
    if await _cluster_info(wanted, TLS(authority), token, deadline) != told:
        raise JoinError(f"{wanted.endpoint} says something else over a connection that can be trusted")
    return authority


async def _cluster_info(wanted: Registering, tls: TLS, token: BootstrapToken, deadline: float) -> str:
    path = resource_path("v1", "configmaps", tokens.CLUSTER_INFO_NAMESPACE, tokens.CLUSTER_INFO)
    client = _client(wanted, tls)
    try:
        while True:
            data = ((await client.find(path)) or {}).get("data") or {}
            content, given = data.get(tokens.KUBECONFIG), data.get(tokens.SIGNATURE + token.identifier)
            if isinstance(content, str) and isinstance(given, str):
                break
            if time.monotonic() > deadline:
                raise JoinError(
                    f"{wanted.endpoint} knows no token {token.identifier}, or it has expired: kafila token create, there"
                )
            await asyncio.sleep(POLL)  # it may have been made just now
    finally:
        await client.close()
    if not hmac.compare_digest(tokens.signature(content, token).encode(), given.encode()):
        raise JoinError(f"{wanted.endpoint} does not know the secret of token {token.identifier}: it cannot be trusted")
    return content


def _client(wanted: Registering, tls: TLS, token: str = "") -> MemberClient:
    return MemberClient("control plane", f"https://{wanted.endpoint}", tls=tls, token=token)


# -- credentials --------------------------------------------------------------------------------------------------------


async def _known_credentials(member: MemberClient, wanted: Registering, authority: bytes) -> Object | None:
    """The kubeconfig that is in the member, if it is still good for this cluster here."""
    secret = await member.find(resource_path("v1", "secrets", wanted.namespace, AGENT_SECRET))
    try:
        text = base64.b64decode(((secret or {}).get("data") or {})[AGENT_SECRET])
        config, _ = yaml.load(text)
        tls = agent_tls(config)
        certificate = x509.load_pem_x509_certificate(tls.certificate)
    except Exception:  # whatever it is, it is not what an agent needs
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [name.value for name in names] != [PREFIX + wanted.name]:
        return None
    client = _client(wanted, tls._replace(authority=authority))
    works = resource_path("work.karmada.io/v1alpha1", "works", constants.execution_namespace(wanted.name))
    try:
        await client.find(f"{CLUSTERS}/{wanted.name}")
        await client.call("GET", works, query={"limit": "1"})  # its roles end with a Cluster that is deleted
    except (StatusError, Unreachable):
        return None
    finally:
        await client.close()
    return config if isinstance(config, dict) else None


def agent_tls(config: Object) -> TLS:
    return access(config, "", "of the agent").tls


async def _renewed_credentials(wanted: Registering, tls: TLS) -> Object:
    """By those that are there, as an agent renews its own: a token gets none for a cluster that exists."""
    client = _client(wanted, tls)
    try:
        pair = await certificate_for(
            client, f"{wanted.name}-{_suffix()}", PREFIX + wanted.name, wanted.lifetime, wanted.timeout
        )
    finally:
        await client.close()
    return _document(wanted, TLS(tls.authority, *pair))


async def _new_credentials(wanted: Registering, authority: bytes) -> Object:
    bootstrap = _client(wanted, TLS(authority), wanted.token)
    try:
        await _make_roles(bootstrap, wanted, authority)
        request = f"{wanted.name}-{_suffix()}"
        pair = await certificate_for(bootstrap, request, PREFIX + wanted.name, wanted.lifetime, wanted.timeout)
    finally:
        await bootstrap.close()
    return _document(wanted, TLS(authority, *pair))


def _document(wanted: Registering, tls: TLS) -> Object:
    return document(wanted.name, f"https://{wanted.endpoint}", tls.authority, tls=tls)


async def _make_roles(bootstrap: MemberClient, wanted: Registering, authority: bytes) -> None:
    request = f"agent-rbac-generator-{wanted.name}{_suffix()}"
    pair = await certificate_for(bootstrap, request, GENERATOR, 3600, wanted.timeout)
    generator = _client(wanted, TLS(authority, *pair))
    try:
        if await generator.find(f"{CLUSTERS}/{wanted.name}") is not None:
            raise JoinError(
                f"cluster {wanted.name} exists, and this cluster has no credentials of its agent: kafila unregister"
                f" {wanted.name} first, or take another name"
            )
        space = constants.execution_namespace(wanted.name)
        labels = {constants.SYSTEM: constants.TRUE}
        for name in (space, wanted.cluster_namespace):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            await create(generator, resource_path("v1", "namespaces"), namespace)
        for role in agent_roles(wanted.name, wanted.cluster_namespace, space):
            where = role["metadata"].get("namespace", "")
            await create(generator, resource_path(role["apiVersion"], f"{role['kind'].lower()}s", where), role)
        await generator.delete(f"{REQUESTS}/{request}")
    finally:
        await generator.close()


async def create(client: MemberClient, path: str, obj: Object) -> None:
    try:
        await client.create(path, obj)
    except StatusError as error:
        if not error.is_already_exists:
            raise


async def certificate_for(
    client: MemberClient, request: str, name: str, lifetime: int, timeout: float
) -> tuple[bytes, bytes]:
    """PEM of a certificate as ``name``, an agent, and of its key; the request is left. Raises JoinError."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, GROUP), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = base64.b64encode(asked.public_bytes(Encoding.PEM)).decode()
    spec = {"request": pem, "signerName": SIGNER, "usages": USAGES, "expirationSeconds": lifetime}
    head = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    metadata = {"name": request, "labels": {constants.SYSTEM: constants.TRUE}}
    await client.create(REQUESTS, {**head, "metadata": metadata, "spec": spec})
    private = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    deadline = time.monotonic() + timeout
    while not (found := ((await client.get(f"{REQUESTS}/{request}")).get("status") or {})).get("certificate"):
        if refused := _refusal(found.get("conditions") or ()):
            raise JoinError(f"no certificate is given for {name}: {refused}")
        if time.monotonic() > deadline:
            raise JoinError(f"request {request} waits for its approval: kubectl certificate approve {request}, there")
        await asyncio.sleep(POLL)
    return base64.b64decode(found["certificate"]), private


def _refusal(conditions: Sequence[Object]) -> str:
    found = next((c for c in conditions if c.get("type") in ("Denied", "Failed")), None)
    return f"{found['type']}: {found.get('message') or found.get('reason')}" if found is not None else ""


def _suffix() -> str:
    return new_uid().replace("-", "")[:5]
