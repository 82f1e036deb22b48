"""What a session of an agent does when something about it fails."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from kafila.agent import session
from kafila.agent.session import AgentOptions, Renewed, Session
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.members.client import MemberClient
from kafila.members.transport import TLS, Unreachable
from kafila.settings.federation import FederationOptions
from tests.unit.members.test_agent_authority import signer


def due_certificate() -> bytes:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(hours=9)).not_valid_after(now + timedelta(hours=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Member:
    """It has a Secret with the agent's certificate."""

    def __init__(self, certificate: bytes, refusal: StatusError | None = None) -> None:
        text = base64.b64encode(b"certificate: " + base64.b64encode(certificate)).decode()
        self.secret = {"data": {"kubeconfig": text, "other": base64.b64encode(b"another's").decode()}}
        self.refusal = refusal

    async def find(self, path: str) -> Object:
        return self.secret

    async def patch(self, path: str, patch: Object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.secret = {"data": {**self.secret["data"], **patch["data"]}}


async def renewed(member: Member, certificate: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many certificates were asked for until the session ended."""
    asked = 0

    async def certificate_for(*arguments: Any) -> tuple[bytes, bytes]:
        nonlocal asked
        asked += 1
        return b"certificate", b"key"

    monkeypatch.setattr(session, "certificate_for", certificate_for)
    options = AgentOptions("edge", "https://edge", rotation_interval=0.01, secret=("karmada-system", "kubeconfig"))
    plane, client = cast(MemberClient, None), cast(MemberClient, member)
    made = Session(plane, client, TLS(b"", certificate), options, FederationOptions(), lambda *pair: "new")
    with pytest.raises(Renewed):
        await asyncio.wait_for(made._keep_certificate(), 10)
    return asked


async def test_a_new_certificate_goes_into_the_secret_too(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = due_certificate()
    member = Member(certificate)
    assert await renewed(member, certificate, monkeypatch) == 1
    assert {key: base64.b64decode(value) for key, value in member.secret["data"].items()} == {
        "kubeconfig": b"new",
        "other": b"another's",
    }


async def test_a_new_certificate_is_used_also_where_the_secret_may_not_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate = due_certificate()
    member = Member(certificate, StatusError(403, "Forbidden", "not yours"))
    assert await renewed(member, certificate, monkeypatch) == 1


async def test_another_certificate_and_ca_when_the_control_plane_exchanges_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Long before the certificate ends: both are believed for a while only."""
    old, new = signer("kafila-ca"), signer("kafila-ca@2")
    said, kept = [old.pem, old.pem, new.pem + old.pem], []

    async def told() -> bytes:
        return said.pop(0)

    async def certificate_for(*arguments: Any) -> tuple[bytes, bytes]:
        return b"certificate", b"key"

    def store(*given: bytes) -> str:
        kept.append(given)
        return "new"

    monkeypatch.setattr(session, "certificate_for", certificate_for)
    nobody, options = cast(MemberClient, None), AgentOptions("edge", "https://edge", rotation_interval=0.01)
    tls = TLS(old.pem, old.signed())
    made = Session(nobody, nobody, tls, options, FederationOptions(), store, told=told)
    with pytest.raises(Renewed):
        await asyncio.wait_for(made._keep_certificate(), 10)
    assert (kept, said) == ([(b"certificate", b"key", new.pem + old.pem)], [])


class Plane:
    """Its objects, by their paths; ``away``: how many patches of owners it does not answer; ``older``: lets no agent write its Cluster."""

    def __init__(self, away: int = 0, older: bool = False) -> None:
        self.away = away
        self.older = older
        self.objects: dict[str, Object] = {}

    async def find(self, path: str) -> Object | None:
        return self.objects.get(path)

    async def create(self, path: str, obj: Object) -> Object:
        where = f"{path}/{obj['metadata']['name']}"
        if where in self.objects:
            raise StatusError(409, "AlreadyExists", "it is there")
        obj["metadata"] |= {"uid": f"uid-{len(self.objects)}", "resourceVersion": "1"}
        self.objects[where] = obj
        return obj

    async def patch(self, path: str, patch: Object) -> Object:
        if "spec" in patch:
            if self.older:
                raise StatusError(403, "Forbidden", "not yours")
            assert patch["metadata"] == {"resourceVersion": "1"}
            self.objects[path]["spec"].update(patch["spec"])
        elif "metadata" in patch:
            if self.away:
                self.away -= 1
                raise Unreachable("gone", sent=False)
            self.objects[path]["metadata"].update(patch["metadata"])
        return self.objects[path]

    def owners(self) -> list[str]:
        """Of its Secrets."""
        found = [obj for obj in self.objects.values() if obj["kind"] == "Secret"]
        return [each["uid"] for obj in found for each in obj["metadata"].get("ownerReferences") or ()]

    @property
    def cluster(self) -> Object:
        return next(obj for obj in self.objects.values() if obj["kind"] == "Cluster")


class KubeSystem:
    async def get(self, path: str) -> Object:
        return {"metadata": {"uid": "id"}}


async def register(plane: Plane, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    async def obtain(*arguments: Any) -> tuple[str, bytes, str]:
        return "token", b"authority", "impersonator"

    monkeypatch.setattr(session, "obtain_credentials", obtain)
    clients = cast(MemberClient, plane), cast(MemberClient, KubeSystem())
    made = AgentOptions("edge", "https://edge", **options)
    await Session(*clients, TLS(), made, FederationOptions(), lambda *pair: "")._register()


async def test_secrets_get_their_owner_though_registering_was_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Plane(away=1)
    with pytest.raises(Unreachable):
        await register(plane, monkeypatch)
    for _ in range(2):  # also when it starts again
        await register(plane, monkeypatch)
        assert plane.owners() == [plane.cluster["metadata"]["uid"]] * 2


async def test_secrets_of_an_earlier_cluster_are_the_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Plane()
    await register(plane, monkeypatch)
    earlier = plane.cluster["metadata"]["uid"]
    plane.cluster["metadata"]["uid"] = "later"
    await register(plane, monkeypatch)
    assert earlier != "later"
    assert plane.owners() == ["later"] * 2


@pytest.mark.parametrize("older", [False, True])
async def test_secrets_that_are_reported_later(monkeypatch: pytest.MonkeyPatch, older: bool) -> None:
    """They have an owner, and the Cluster names them; where an older control plane does not let an agent do so, it is said."""
    plane = Plane(older=older)
    await register(plane, monkeypatch, report_secrets=False)
    with structlog.testing.capture_logs() as logs:
        await register(plane, monkeypatch)
    assert plane.owners() == [plane.cluster["metadata"]["uid"]] * 2
    references = ("secretRef", "impersonatorSecretRef")
    named = [(plane.cluster["spec"].get(field) or {}).get("name") for field in references]
    if older:
        assert named == [None, None]
        assert [line["field"] for line in logs] == ["spec.impersonatorSecretRef", "spec.secretRef"]
    else:
        assert named == ["edge", "edge-impersonator"]
        assert logs == []
