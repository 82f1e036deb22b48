"""Service accounts: the default one and the CA in every namespace, tokens in Secrets, and none of it in members by accident."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kafila.authentication.serviceaccounts import service_account_tokens
from kafila.authentication.users import InvalidCredential
from kafila.identity.certificates import new_signing_key
from kafila.identity.token_keys import id_of
from kafila.identity.tokens import Tokens

from .conftest import Lab

TOKENS = Tokens(new_signing_key())
CA = b"-----BEGIN CERTIFICATE-----"
TYPE = "kubernetes.io/service-account-token"


@pytest.fixture(autouse=True)
def _with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.integration.reconcile import conftest

    made = conftest.Controllers
    monkeypatch.setattr(conftest, "Controllers", lambda *given, **named: made(*given, TOKENS, CA, **named))


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}}


def secret(name: str, of: str) -> dict[str, Any]:
    annotations = {"kubernetes.io/service-account.name": of}
    metadata = {"name": name, "namespace": "default", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE}


async def test_every_namespace_has_an_account_and_the_authority(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.create(namespace("team"))
        await lab.rest()
        for where in ("team", "default", "kube-system"):
            assert lab.get("ServiceAccount", "default", where)
            assert lab.get("ConfigMap", "kube-root-ca.crt", where)["data"] == {"ca.crt": CA.decode()}
        await lab.delete("ServiceAccount", "default", "team")
        await lab.delete("ConfigMap", "kube-root-ca.crt", "team")
        await lab.rest()
        assert lab.get("ServiceAccount", "default", "team")
        assert lab.get("ConfigMap", "kube-root-ca.crt", "team")
        await lab.delete("Namespace", "team", "")
        await lab.until(lambda: lab.registry.cache.get("namespaces", "", "team") is None)
    finally:
        await lab.close()


async def test_they_are_switched_off_by_name(make_lab: type[Lab]) -> None:
    lab = await make_lab(controllers="*,-serviceaccount,-root-ca-cert-publisher").start()
    try:
        await lab.rest()
        assert lab.list("ServiceAccount") == []
        assert [c for c in lab.list("ConfigMap") if c["metadata"]["name"] == "kube-root-ca.crt"] == []
    finally:
        await lab.close()


async def test_a_selector_without_a_name_takes_none_of_it_to_members(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.join("m1")
        selectors = [{"apiVersion": "v1", "kind": kind} for kind in ("ServiceAccount", "ConfigMap")]
        policy = lab.policy("everything", "m1")
        policy["spec"]["resourceSelectors"] = selectors
        await lab.create(policy)
        await lab.create(account("robot"))
        await lab.rest()
        assert [b["metadata"]["name"] for b in lab.list("ResourceBinding")] == ["robot-serviceaccount"]
    finally:
        await lab.close()


async def test_tokens_in_secrets(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.create(account("robot"))
        await lab.create(secret("robot-token", "robot"))
        await lab.create(secret("lost", "nobody"))
        await lab.rest()
        assert lab.registry.cache.get("secrets", "default", "lost") is None
        filled = lab.get("Secret", "robot-token")
        data = {name: base64.b64decode(value) for name, value in filled["data"].items()}
        assert (data["ca.crt"], data["namespace"]) == (CA, b"default")
        uid = lab.get("ServiceAccount", "robot")["metadata"]["uid"]
        assert filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == uid
        authenticate = service_account_tokens(lab.registry.cache, lambda: TOKENS)
        token = data["token"].decode()
        known = authenticate(token, ())
        assert known is not None
        assert known.user.name == "system:serviceaccount:default:robot"
        await lab.delete("ServiceAccount", "robot")
        await lab.rest()
        assert lab.registry.cache.get("secrets", "default", "robot-token") is None
        with pytest.raises(InvalidCredential):
            authenticate(token, ())
    finally:
        await lab.close()


async def test_a_token_whose_key_was_exchanged_is_replaced_once_nobody_believes_it(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    before, after = new_signing_key(), new_signing_key()

    async def stored() -> str:
        lab.controllers.token_keys_changed()
        await lab.rest()
        return base64.b64decode(lab.get("Secret", "robot-token")["data"]["token"]).decode()

    try:
        TOKENS.replace(before, [])
        await lab.create(account("robot"))
        await lab.create(secret("robot-token", "robot"))
        first = await stored()
        TOKENS.replace(after, [before.certificate])
        assert await stored() == first  # others have copies, which are believed
        TOKENS.replace(after, [])
        assert await stored() == first  # a key that is not there may be a mistake
        TOKENS.replace(after, [], retired=[id_of(before)])
        second = await stored()
        assert second != first
        authenticate = service_account_tokens(lab.registry.cache, lambda: TOKENS)
        assert authenticate(second, ()) is not None
    finally:
        await lab.close()


async def test_a_token_ends_with_its_secret(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.create(account("robot"))
        await lab.create(secret("robot-token", "robot"))
        await lab.rest()
        token = base64.b64decode(lab.get("Secret", "robot-token")["data"]["token"]).decode()
        authenticate = service_account_tokens(lab.registry.cache, lambda: TOKENS)
        assert authenticate(token, ()) is not None
        await lab.delete("Secret", "robot-token")
        with pytest.raises(InvalidCredential):
            authenticate(token, ())
        await lab.create(secret("robot-token", "robot"))  # of the same name, with another token
        await lab.rest()
        assert (
            authenticate(base64.b64decode(lab.get("Secret", "robot-token")["data"]["token"]).decode(), ()) is not None
        )
    finally:
        await lab.close()
