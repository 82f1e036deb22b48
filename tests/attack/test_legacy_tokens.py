"""The token in a Secret of a service account is for this API server: nobody else who asks is told that it is valid for him."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kafila.identity.certificates import new_signing_key
from kafila.identity.tokens import Tokens
from tests.integration.api.conftest import Api

NAMESPACE = "/api/v1/namespaces/default"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
TYPE, ACCOUNT = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"


@pytest.fixture
async def token(api: Api) -> str:
    tokens = api.app.tokens = Tokens(new_signing_key())
    account = await api.made(f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "robot"}})
    made = tokens.issue_legacy("default", "robot", account["metadata"]["uid"], "s")
    data = {"token": base64.b64encode(made.encode()).decode()}
    metadata = {"name": "s", "annotations": {ACCOUNT: "robot"}}
    await api.made(f"{NAMESPACE}/secrets", {"metadata": metadata, "type": TYPE, "data": data})
    return made


async def reviewed(api: Api, token: str, *audiences: str) -> Any:
    answer = await api.post(REVIEWS, {"spec": {"token": token, "audiences": list(audiences)}})
    assert answer.status_code == 201, answer.text
    return answer.json()["status"]


async def test_it_is_for_this_server(api: Api, token: str) -> None:
    assert api.app.tokens is not None
    ours = list(api.app.tokens.audiences)
    assert (await reviewed(api, token))["audiences"] == ours
    assert (await reviewed(api, token, "vault", *ours))["audiences"] == ours


async def test_it_is_for_nobody_else(api: Api, token: str) -> None:
    for _ in range(2):
        status = await reviewed(api, token, "vault")
        assert "authenticated" not in status
        assert status["user"] == {}
        assert 'is invalid for the target audiences ["vault"]' in status["error"]
        assert (await reviewed(api, token))["authenticated"]
