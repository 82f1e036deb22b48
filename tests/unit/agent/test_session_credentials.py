"""Credentials that fail for a while end no session of an agent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from kafila.agent import session
from kafila.agent.session import AgentOptions, Renewed, Session
from kafila.identity.certificates import CERTIFICATE_LIFETIME, issue, new_authority
from kafila.members.conduct import Conduct
from kafila.members.kubeconfig import KubeconfigError
from kafila.members.transport import TLS, Unreachable

LOST = "token file /run/token: No such file or directory"


class Mirror:
    """In which the Cluster is."""

    cache: Any = None

    def get(self, *key: str) -> object:
        return key


class Plane:
    def __init__(self) -> None:
        self.asked = 0

    async def find(self, path: str) -> object:
        self.asked += 1
        if self.asked > 2:
            raise Renewed
        raise KubeconfigError(LOST)


def of(plane: Any, certificate: bytes = b"", **options: Any) -> Any:
    return Session(
        plane, plane, TLS(b"", certificate), AgentOptions("edge", "", **options), session.FederationOptions(), print
    )


async def test_a_lease_is_renewed_when_there_are_credentials_again() -> None:
    plane, mirror = Plane(), Mirror()
    mirror.cache = mirror
    with pytest.raises(Renewed):
        async with asyncio.timeout(5):
            await of(plane, lease_duration=0.01)._keep_lease({"metadata": {"uid": "1"}}, mirror)


async def test_clocks_are_compared_with_the_control_planes() -> None:
    class Answering:
        conduct = Conduct()
        away = False

        async def exchange(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
            if self.away:
                raise Unreachable(LOST, sent=False)
            return 200, {"Date": format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)}, b"ok"

    plane = Answering()
    for away in (False, True):
        plane.away = away
        await of(plane)._compare_clocks()  # who answers is both, here
        assert 3590 < plane.conduct.ours < 3610


async def test_a_certificate_is_renewed_when_the_kubeconfig_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    old = issue(new_authority("ca"), "edge", now=datetime.now(UTC) - CERTIFICATE_LIFETIME)
    made, tried = of(None, old.certificate, rotation_interval=0.01), []

    async def renew(lifetime: int) -> None:
        tried.append(lifetime)
        if len(tried) < 3:
            raise KubeconfigError("kubeconfig /etc/kubeconfig does not exist")

    monkeypatch.setattr(Session, "_renew_certificate", lambda self, lifetime, authority: renew(lifetime))
    with pytest.raises(Renewed):
        async with asyncio.timeout(5):
            await made._keep_certificate()
    assert len(tried) == 3
