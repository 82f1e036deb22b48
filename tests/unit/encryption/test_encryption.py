"""What is sealed, and what opens again: only itself, only at its place, only with its key."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.encryption.configuration import read_configuration
from kafila.encryption.encryption import IN_CLEAR, Encryption
from kafila.store.sealing import MARK, CannotOpen

SECRETS = Key("secrets", "default", "token")
BODY = b'{"metadata":{"name":"token"},"data":{"password":"c2VzYW1l"}}'
LOCAL = ("aesgcm", "aescbc", "secretbox")


def secret(text: str) -> str:
    return base64.b64encode(text.encode().ljust(32, b"\0")).decode()


def provider(algorithm: str, *names: str) -> str:
    keys = ", ".join(f"{{name: {name}, secret: {secret(name)}}}" for name in names)
    return f"{{{algorithm}: {{keys: [{keys}]}}}}"


def encryption(*rules: tuple[str, str]) -> Encryption:
    head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
    text = "".join(f"- {{resources: [{resources}], providers: [{providers}]}}\n" for resources, providers in rules)
    return Encryption(read_configuration((head + text).encode()))


def seal(sealer: Encryption, key: Key = SECRETS, body: bytes = BODY) -> bytes:
    return sealer.seal(key, body, body)


def refusal(sealer: Encryption, stored: bytes, key: Key = SECRETS) -> str:
    with pytest.raises(CannotOpen) as caught:
        sealer.open(key, stored)
    return str(caught.value)


@pytest.mark.parametrize("algorithm", LOCAL)
@given(body=st.binary(max_size=5000), namespace=st.text(max_size=10), name=st.text(max_size=10))
def test_what_was_sealed_opens_to_itself(algorithm: str, body: bytes, namespace: str, name: str) -> None:
    sealer, key = encryption(("secrets", provider(algorithm, "key1"))), Key("secrets", namespace, name)
    stored = seal(sealer, key, body)
    head = b"%b%b:v1:key1:" % (MARK, algorithm.encode())
    assert stored.startswith(head)
    assert len(body) < 8 or body not in stored.removeprefix(head)
    assert sealer.open(key, stored) == body
    assert seal(sealer, key, body) != stored


@pytest.mark.parametrize("algorithm", LOCAL)
@given(data=st.data())
def test_one_changed_bit_is_noticed(algorithm: str, data: st.DataObject) -> None:
    sealer = encryption(("secrets", provider(algorithm, "key1")))
    stored = bytearray(seal(sealer))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CannotOpen):
        sealer.open(SECRETS, bytes(stored))


@pytest.mark.parametrize("algorithm", LOCAL)
@given(size=st.integers(0, 400))
def test_what_was_cut_off_is_noticed(algorithm: str, size: int) -> None:
    sealer = encryption(("secrets", provider(algorithm, "key1")))
    stored = seal(sealer)
    if size < len(stored):
        with pytest.raises(CannotOpen):
            sealer.open(SECRETS, stored[:size])


@pytest.mark.parametrize("algorithm", LOCAL)
@pytest.mark.parametrize(
    "elsewhere",
    [
        Key("secrets", "default", "other"),
        Key("secrets", "kube-system", "token"),
        Key("secrets", "", "default/token"),
        Key("configmaps", "default", "token"),
    ],
)
def test_what_was_moved_to_another_object_is_refused(algorithm: str, elsewhere: Key) -> None:
    sealer = encryption(("secrets, configmaps", provider(algorithm, "key1")))
    assert refusal(sealer, seal(sealer), elsewhere) == "cipher: message authentication failed"


@pytest.mark.parametrize("algorithm", LOCAL)
def test_another_key_of_the_same_name_does_not_open(algorithm: str) -> None:
    sealer = encryption(("secrets", provider(algorithm, "key1")))
    other = encryption(("secrets", provider(algorithm, "key1").replace(secret("key1"), secret("other"))))
    assert refusal(other, seal(sealer)) == "cipher: message authentication failed"


def test_the_first_key_of_the_first_provider_writes_and_all_of_them_read() -> None:
    before = encryption(("secrets", provider("aesgcm", "key1")))
    after = encryption(("secrets", f"{provider('secretbox', 'key2', 'key3')}, {provider('aesgcm', 'key1')}"))
    old, new = seal(before), seal(after)
    assert after.open(SECRETS, old) == after.open(SECRETS, new) == BODY
    assert (after.key_of(old), after.key_of(new), after.key_of(BODY)) == ("aesgcm:key1", "secretbox:key2", IN_CLEAR)
    assert (after.is_current(SECRETS, old, BODY), after.is_current(SECRETS, new, BODY)) == (False, True)


def test_one_name_may_stand_for_two_keys_in_two_rules() -> None:
    """As with kube-apiserver."""
    other = provider("aesgcm", "key1").replace(secret("key1"), secret("other"))
    sealer = encryption(("secrets", provider("aesgcm", "key1")), ("configmaps", other))
    map_key = Key("configmaps", "default", "map")
    for key in (SECRETS, map_key):
        assert sealer.open(key, seal(sealer, key)) == BODY


def test_refusals_are_in_kubernetes_words() -> None:
    aes, box = (
        encryption(("secrets", provider("aesgcm", "key1"))),
        encryption(("secrets", provider("secretbox", "key1"))),
    )
    assert refusal(box, seal(aes)) == "no matching prefix found"
    assert refusal(aes, seal(box)) == "no matching prefix found"
    assert refusal(encryption(("secrets", provider("aesgcm", "key2"))), seal(aes)) == (
        "no matching key was found for the provided AES transformer"
    )
    assert refusal(encryption(("secrets", provider("secretbox", "key2"))), seal(box)) == (
        "no matching key was found for the provided Secretbox transformer"
    )
    assert refusal(aes, b"kafila:enc:") == refusal(aes, b"kafila:enc:none:v1:x:abc") == "no matching prefix found"


def test_what_lies_in_clear_is_read_only_where_identity_is_listed() -> None:
    """Who can write to the database cannot put an object of his own in the place of a sealed one."""
    strict = encryption(("secrets", provider("aesgcm", "key1")))
    tolerant = encryption(("secrets", f"{provider('aesgcm', 'key1')}, {{identity: {{}}}}"))
    assert refusal(strict, BODY) == "no matching prefix found"
    assert tolerant.open(SECRETS, BODY) == BODY
    assert strict.open(Key("configmaps", "default", "map"), BODY) == BODY


def test_identity_first_writes_in_clear_and_still_reads() -> None:
    sealed = seal(encryption(("secrets", provider("aesgcm", "key1"))))
    leaving = encryption(("secrets", f"{{identity: {{}}}}, {provider('aesgcm', 'key1')}"))
    assert seal(leaving) is BODY
    assert leaving.open(SECRETS, sealed) == BODY
    assert (leaving.is_current(SECRETS, sealed, BODY), leaving.is_current(SECRETS, BODY, BODY)) == (False, True)


WORK = Key("works.work.karmada.io", "karmada-es-member1", "token-secret")
REVISION = Key("templaterevisions.placement.kafila.io", "default", "token-secret-a1")
OTHERS = [
    ('"apiVersion":"v1","kind":"Secret"', "secrets", True),
    ('"apiVersion":"v1","kind":"ConfigMap"', "secrets", False),
    ('"apiVersion":"v1","kind":"ConfigMap"', "'*.'", True),
    ('"apiVersion":"v1","kind":"ConfigMap"', "configmaps", True),
    ('"apiVersion":"v1","kind":"Endpoints"', "endpoints", True),
    ('"apiVersion":"apps/v1","kind":"Deployment"', "secrets", False),
    ('"apiVersion":"apps/v1","kind":"Deployment"', "deployments.apps", True),
    ('"apiVersion":"apps/v1","kind":"Deployment"', "'*.apps'", True),
    ('"apiVersion":"apps/v1","kind":"Deployment"', "'*.*'", True),
    ('"apiVersion":"example.org/v1","kind":"Sheep"', "sheep.example.org", True),
]


@pytest.mark.parametrize(("manifest", "resources", "carried"), OTHERS)
def test_a_work_is_sealed_as_what_it_carries(manifest: str, resources: str, carried: bool) -> None:
    sealer = encryption((resources, provider("aesgcm", "key1")))
    work = b'{"metadata":{"name":"w"},"spec":{"workload":{"manifests":[{%b,"data":{}}]}}}' % manifest.encode()
    stored = seal(sealer, WORK, work)
    assert stored.startswith(MARK) is carried
    assert sealer.open(WORK, stored) == work
    revision = b'{"metadata":{"name":"r"},"revision":"a1","template":{%b,"data":{}}}' % manifest.encode()
    assert seal(sealer, REVISION, revision).startswith(MARK) is carried


def test_a_work_is_sealed_even_where_works_are_listed_in_clear() -> None:
    sealer = encryption((WORK.resource, "{identity: {}}"), ("secrets", provider("aesgcm", "key1")))
    work = b'{"metadata":{},"spec":{"workload":{"manifests":[{"apiVersion":"v1","kind":"Secret"}]}}}'
    assert seal(sealer, WORK, work).startswith(MARK)


def test_our_own_keys_are_sealed_with_secrets_and_nothing_else_of_ours_is() -> None:
    sealer = encryption(("'*.*'", provider("aesgcm", "key1")))
    assert seal(sealer, Key("keypairs.internal", "", "ca")).startswith(MARK)
    assert seal(sealer, Key("nodeports.internal", "", "30000")) is BODY
    assert seal(encryption(("configmaps", provider("aesgcm", "key1"))), Key("keypairs.internal", "", "ca")) is BODY


WILDCARDS = [
    ("secrets", "secrets", True),
    ("secrets", "configmaps", False),
    ("'*.'", "configmaps", True),
    ("'*.'", "events", True),
    ("'*.'", "deployments.apps", False),
    ("'*.apps'", "deployments.apps", True),
    ("'*.apps'", "jobs.batch", False),
    ("'*.*'", "jobs.batch", True),
]


@pytest.mark.parametrize(("listed", "resource", "sealed"), WILDCARDS)
def test_wildcards_are_kubernetes(listed: str, resource: str, sealed: bool) -> None:
    sealer = encryption((listed, provider("aesgcm", "key1")))
    assert seal(sealer, Key(resource, "a", "b")).startswith(MARK) is sealed
