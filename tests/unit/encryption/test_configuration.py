"""An EncryptionConfiguration: what is read, and in which words what is wrong is refused (kube-apiserver's, with the line)."""

from __future__ import annotations

import base64

import pytest

from kafila.encryption.configuration import Identity, Local, Remote, read_configuration
from kafila.machinery.configuration import ConfigurationError

KEY32 = base64.b64encode(bytes(range(32))).decode()
HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n"
AESGCM = f"{{aesgcm: {{keys: [{{name: key1, secret: {KEY32}}}]}}}}"


def rules(*rules: str) -> bytes:
    return (HEAD + "resources:\n" + "".join(f"- {rule}\n" for rule in rules)).encode()


def one(resources: str, providers: str) -> bytes:
    return rules(f"{{resources: [{resources}], providers: [{providers}]}}")


def kms(fields: str) -> bytes:
    return one("secrets", f"{{kms: {{{fields}}}}}")


def test_every_provider_is_read() -> None:
    found = read_configuration(
        rules(
            f"{{resources: [secrets, '*.apps'], providers: [{AESGCM}, {{identity: {{}}}}]}}",
            "{resources: ['*.'], providers: [{kms: {apiVersion: v2, name: vault, endpoint: unix:///run/kms.sock}}]}",
            f"{{resources: ['*.*'], providers: [{{secretbox: {{keys: [{{name: a, secret: {KEY32}}}]}}}}]}}",
        )
    )
    first, second, third = found.rules
    assert first.resources == ("secrets", "*.apps")
    local, identity = first.providers
    assert isinstance(local, Local)
    assert isinstance(identity, Identity)
    assert [(key.name, bytes(key.secret)) for key in local.keys] == [("key1", bytes(range(32)))]
    assert second.providers == (Remote("vault", "/run/kms.sock", 3.0),)
    assert isinstance(third.providers[0], Local)


def test_no_text_of_a_configuration_shows_a_key() -> None:
    found = read_configuration(one("secrets", AESGCM))
    assert KEY32 not in str(found)
    assert "\\x01\\x02" not in str(found)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3s", 3.0), ("1m", 60.0), ("250ms", 0.25), ("1.5s", 1.5), ("1s500ms", 1.5)]
)
def test_a_timeout_is_a_duration_of_go(text: str, seconds: float) -> None:
    found = read_configuration(kms(f"apiVersion: v2, name: a, endpoint: unix:///a, timeout: {text}"))
    assert found.rules[0].providers == (Remote("a", "/a", seconds),)


SHORT = "AAAA"
WRONG = [
    (b"", "line 1: is empty"),
    (b"kind: EncryptionConfiguration\n", "line 1: apiVersion must be apiserver.config.k8s.io/v1"),
    (
        b"apiVersion: apiserver.config.k8s.io/v1\nkind: Other\n",
        "line 2: kind: kind must be EncryptionConfiguration",
    ),
    (HEAD.encode(), "line 1: resources: Required value: at least one resources is required"),
    (HEAD.encode() + b"more: 1\n", 'line 3: unknown field "more"'),
    (
        one("", AESGCM),
        "line 4: resources[0].resources: Required value: at least one resources[0].resources is required",
    ),
    (
        one("secrets", ""),
        "line 4: resources[0].providers: Required value: at least one resources[0].providers is required",
    ),
    (
        one("secrets, secrets", AESGCM),
        'line 4: resources[0].resources: Invalid value: ["secrets","secrets"]:'
        " the same resource cannot be specified multiple times",
    ),
    (
        one("secrets, '*.'", AESGCM),
        'line 4: resources[0].resources: Invalid value: ["secrets","*."]: using overlapping resources such as \'secrets\''
        " and '*.' in the same resource list is not allowed as they will be masked",
    ),
    (
        one("Secrets", AESGCM),
        'line 4: resources[0].resources[0]: Invalid value: "Secrets": resource name should not contain capital letters',
    ),
    (
        one("'*'", AESGCM),
        "line 4: resources[0].resources[0]: Invalid value: \"*\": use '*.' to encrypt all the resources from core API group"
        " or *.* to encrypt all resources",
    ),
    (
        one("events.events.k8s.io", AESGCM),
        "line 4: resources[0].resources[0]: Invalid value: \"events.events.k8s.io\": '*.events.k8s.io' objects are stored"
        " using the 'events' API group in etcd. Use 'events' instead in the config file",
    ),
    (
        one("deployments.extensions", AESGCM),
        'line 4: resources[0].resources[0]: Invalid value: "deployments.extensions":'
        " 'extensions' group has been removed and cannot be used for encryption",
    ),
    (
        one("secrets.*", AESGCM),
        'line 4: resources[0].resources[0]: Invalid value: "secrets.*":'
        " encrypting the same resource across groups is not supported",
    ),
    (
        one("serviceipallocations", AESGCM),
        'line 4: resources[0].resources[0]: Invalid value: "serviceipallocations":'
        " resources which do not have REST API/s cannot be encrypted",
    ),
    (
        rules(
            f"{{resources: ['*.'], providers: [{AESGCM}]}}",
            f"{{resources: [secrets], providers: [{AESGCM}]}}",
        ),
        'line 5: resources[1]: resource "secrets" is masked by earlier rule "*."',
    ),
    (
        one("secrets", "{}"),
        "line 4: resources[0].providers[0]: provider does not contain any of the expected providers:"
        " KMS, AESGCM, AESCBC, Secretbox, Identity",
    ),
    (
        one("secrets", f"{{identity: {{}}, aesgcm: {{keys: [{{name: key1, secret: {KEY32}}}]}}}}"),
        "line 4: resources[0].providers[0]: more than one provider specified in a single element,"
        " should split into different list elements",
    ),
    (
        one("secrets", "{aesgcm: {keys: []}}"),
        "line 4: resources[0].providers[0].aesgcm.keys: Required value: at least one keys is required",
    ),
    (
        one("secrets", f"{{aesgcm: {{keys: [{{secret: {KEY32}}}]}}}}"),
        "line 4: resources[0].providers[0].aesgcm.keys[0].name: Required value: name is a mandatory field for a key",
    ),
    (
        one("secrets", "{aesgcm: {keys: [{name: a}]}}"),
        "line 4: resources[0].providers[0].aesgcm.keys[0].secret: Required value: secret is a mandatory field for a key",
    ),
    (
        one("secrets", "{aesgcm: {keys: [{name: a, secret: '%%'}]}}"),
        'line 4: resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secrets must be base64 encoded',
    ),
    (
        one("secrets", f"{{aescbc: {{keys: [{{name: a, secret: {SHORT}}}]}}}}"),
        'line 4: resources[0].providers[0].aescbc.keys[0].secret: Invalid value: "REDACTED":'
        " secret is not of the expected length, got 3, expected one of [16 24 32]",
    ),
    (
        one("secrets", f"{{secretbox: {{keys: [{{name: a, secret: {base64.b64encode(bytes(16)).decode()}}}]}}}}"),
        'line 4: resources[0].providers[0].secretbox.keys[0].secret: Invalid value: "REDACTED":'
        " secret is not of the expected length, got 16, expected one of [32]",
    ),
    (
        kms("name: a, endpoint: unix:///a"),
        "line 4: resources[0].providers[0].kms: KMSv1 is deprecated and will only receive security updates going forward."
        " Use KMSv2 instead. kafila has no KMSv1: set apiVersion: v2",
    ),
    (
        kms("apiVersion: v1, name: a, endpoint: unix:///a"),
        "line 4: resources[0].providers[0].kms.apiVersion: KMSv1 is deprecated and will only receive security updates going"
        " forward. Use KMSv2 instead. kafila has no KMSv1: set apiVersion: v2",
    ),
    (
        kms("apiVersion: v3, name: a, endpoint: unix:///a"),
        'line 4: resources[0].providers[0].kms.apiVersion: Invalid value: "v3":'
        " unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported",
    ),
    (
        kms("apiVersion: v2, endpoint: unix:///a"),
        "line 4: resources[0].providers[0].kms.name: Required value: name is a mandatory field for a provider",
    ),
    (
        kms("apiVersion: v2, name: 'a:b', endpoint: unix:///a"),
        'line 4: resources[0].providers[0].kms.name: Invalid value: "a:b":'
        " invalid KMS provider name a:b, must not contain ':'",
    ),
    (
        kms("apiVersion: v2, name: a"),
        'line 4: resources[0].providers[0].kms.endpoint: Invalid value: "": endpoint is a mandatory field for a kms',
    ),
    (
        kms("apiVersion: v2, name: a, endpoint: 'http://a'"),
        'line 4: resources[0].providers[0].kms.endpoint: Invalid value: "http://a":'
        ' unsupported scheme "http" for KMS provider, only unix is supported',
    ),
    (
        kms("apiVersion: v2, name: a, endpoint: unix:///a, cachesize: 3"),
        "line 4: resources[0].providers[0].kms.cachesize: Invalid value: 3: cachesize is not supported in v2",
    ),
    (
        kms("apiVersion: v2, name: a, endpoint: unix:///a, timeout: 0s"),
        'line 4: resources[0].providers[0].kms.timeout: Invalid value: "0s": timeout should be a positive value',
    ),
    (
        one(
            "secrets",
            ", ".join(["{kms: {apiVersion: v2, name: a, endpoint: 'unix:///a'}}"] * 2),
        ),
        'line 4: resources[0].providers[1].kms.name: Invalid value: "a": duplicate KMS provider name a, names must be unique',
    ),
]


@pytest.mark.parametrize(("content", "refusal"), WRONG, ids=[reason[-40:] for _, reason in WRONG])
def test_what_is_wrong_is_refused_with_its_line(content: bytes, refusal: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(content)
    assert str(caught.value) == refusal


def test_a_list_without_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at most 256 entries"):
        read_configuration(one(", ".join(f"r{n}.example.org" for n in range(257)), AESGCM))
