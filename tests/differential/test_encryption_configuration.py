"""Wrong EncryptionConfigurations: kube-apiserver refuses them at its start, and we in the same words, with the line in front."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from pathlib import Path

import pytest

from kafila.encryption.configuration import read_configuration
from kafila.identity.certificates import new_signing_key
from kafila.machinery.configuration import ConfigurationError

KEY = base64.b64encode(bytes(32)).decode()
AESGCM = f"{{aesgcm: {{keys: [{{name: key1, secret: {KEY}}}]}}}}"
IDENTITY = "{identity: {}}"


def kms(fields: str) -> tuple[str, str]:
    return "secrets", f"{{kms: {{{fields}}}}}"


WRONG: dict[str, list[tuple[str, str]]] = {
    "no rule": [],
    "no resource": [("", IDENTITY)],
    "no provider": [("secrets", "")],
    "twice": [("secrets, secrets", IDENTITY)],
    "overlap": [("secrets, '*.'", IDENTITY)],
    "overlap with all": [("secrets, '*.*'", IDENTITY)],
    "overlap in a group": [("'*.apps', deployments.apps", IDENTITY)],
    "capitals": [("Secrets", IDENTITY)],
    "star": [("'*'", IDENTITY)],
    "events of their group": [("events.events.k8s.io", IDENTITY)],
    "extensions": [("ingresses.extensions", IDENTITY)],
    "across groups": [("secrets.*", IDENTITY)],
    "not served": [("apiserveripinfo", IDENTITY)],
    "masked": [("'*.'", IDENTITY), ("secrets", IDENTITY)],
    "masked by all": [("'*.*'", IDENTITY), ("deployments.apps", IDENTITY)],
    "no keys": [("secrets", "{aesgcm: {keys: []}}")],
    "no name": [("secrets", f"{{aesgcm: {{keys: [{{secret: {KEY}}}]}}}}")],
    "no secret": [("secrets", "{aesgcm: {keys: [{name: a}]}}")],
    "no base64": [("secrets", "{aescbc: {keys: [{name: a, secret: '%%'}]}}")],
    "short": [("secrets", "{aescbc: {keys: [{name: a, secret: AAAA}]}}")],
    "short box": [("secrets", "{secretbox: {keys: [{name: a, secret: AAAA}]}}")],
    "no version": [kms("apiVersion: v3, name: a, endpoint: 'unix:///a'")],
    "colon": [kms("apiVersion: v2, name: 'a:b', endpoint: 'unix:///a'")],
    "scheme": [kms("apiVersion: v2, name: a, endpoint: 'http://a'")],
    "timeout": [kms("apiVersion: v2, name: a, endpoint: 'unix:///a', timeout: 0s")],
    "no name of a plugin": [kms("apiVersion: v2, endpoint: 'unix:///a'")],
    "no endpoint": [kms("apiVersion: v2, name: a")],
    "cachesize": [kms("apiVersion: v2, name: a, endpoint: 'unix:///a', cachesize: 3")],
    "duplicate": [("secrets", ", ".join([kms("apiVersion: v2, name: a, endpoint: 'unix:///a'")[1]] * 2))],
}
# Of these kube-apiserver prints Go's structure, the keys with it; that we leave out.
PRINTED = {
    "no provider in it": [("secrets", "{}")],
    "two providers in one": [("secrets", f"{{identity: {{}}, {AESGCM[1:-1]}}}")],
}


def document(rules: list[tuple[str, str]]) -> bytes:
    head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n"
    if not rules:
        return head.encode()
    text = "".join(f"- {{resources: [{resources}], providers: [{providers}]}}\n" for resources, providers in rules)
    return f"{head}resources:\n{text}".encode()


@pytest.fixture(scope="module")
def starting(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command without the file. It gets as far as it, and to no database."""
    folder = tmp_path_factory.mktemp("kube-apiserver")
    key = folder / "key.pem"
    key.write_bytes(new_signing_key().key)
    return [
        str(programs / "kube-apiserver"),
        "--etcd-servers=http://127.0.0.1:1",
        f"--cert-dir={folder}",
        "--bind-address=127.0.0.1",
        "--secure-port=1",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
    ]


def refusal_of_kube(starting: list[str], file: Path) -> str:
    done = subprocess.run(
        [*starting, f"--encryption-provider-config={file}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ},
    )
    found = re.search(r'"command failed" err="(.*)"$', done.stderr, re.MULTILINE)
    assert found, done.stderr[-2000:]
    said = found.group(1).encode().decode("unicode_escape")
    return re.sub(r"^error while (parsing file|building transformers): ", "", said)


def ours(content: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(content)
    return re.sub(r"^line \d+: ", "", str(caught.value))


@pytest.mark.parametrize("name", [*WRONG, *PRINTED])
def test_it_is_refused_in_the_same_words(starting: list[str], tmp_path: Path, name: str) -> None:
    content = document((WRONG | PRINTED)[name])
    file = tmp_path / "encryption.yaml"
    file.write_bytes(content)
    theirs, mine = refusal_of_kube(starting, file), ours(content)
    if name in PRINTED:
        theirs = re.sub(r"Invalid value: \{.*\}: ", "", theirs)
    if theirs.startswith("resource "):  # it says nothing of the place
        mine = mine.removeprefix("resources[1]: ")
    assert mine == theirs
