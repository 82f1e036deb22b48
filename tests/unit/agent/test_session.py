"""What a session of an agent does when something about it fails."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from kafila.agent import session
from kafila.agent.session import AgentOptions, Renewed, Session
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.members.client import MemberClient
from kafila.settings.federation import FederationOptions


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
    made = Session(plane, client, certificate, options, FederationOptions(), lambda *pair: "new")
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
