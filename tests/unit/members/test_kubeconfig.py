from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
import yaml

from kafila.members import kubeconfig
from kafila.members.kubeconfig import KubeconfigError, document, load, write
from kafila.members.login import Credential
from kafila.members.transport import TLS


def config(path: Path, cluster: dict, user: dict, name: str = "c") -> Path:
    whole = {
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.write_text(yaml.safe_dump(whole))
    return path


SERVER = {"server": "https://example:6443/"}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "config"
    write(path, document("dev", "https://h:1", b"CA", tls=TLS(b"CA", b"CERT", b"KEY")))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    access = load(path)
    assert (access.context, access.endpoint) == ("dev", "https://h:1")
    assert access.tls == TLS(b"CA", b"CERT", b"KEY")
    assert access.token == ""
    write(path, document("dev", "https://h:1", token="t"))
    assert load(path, "dev").token == "t"


def test_it_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    """YAML 1.1 has dates: Kubernetes' reader knows none."""
    path = config(tmp_path / "config", SERVER, {"token": "TOKEN"})
    path.write_text(path.read_text().replace("TOKEN", "2026-01-02"))
    assert load(path).token == "2026-01-02"


def test_files_lie_next_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"CA")
    (tmp_path / "c.pem").write_bytes(b"CERT")
    (tmp_path / "k.pem").write_bytes(b"KEY")
    user = {"client-certificate": "c.pem", "client-key": str(tmp_path / "k.pem")}
    path = config(tmp_path / "config", {**SERVER, "certificate-authority": "ca.pem"}, user)
    access = load(path)
    assert access.tls == TLS(b"CA", b"CERT", b"KEY")
    assert access.endpoint == "https://example:6443"


def test_options_of_the_connection(tmp_path: Path) -> None:
    cluster = {**SERVER, "insecure-skip-tls-verify": True, "tls-server-name": "k", "proxy-url": "http://p:3128"}
    access = load(config(tmp_path / "c", cluster, {"username": "u", "password": "p"}))
    assert access.tls == TLS(insecure=True, server_name="k")
    assert access.proxy_url == "http://p:3128"
    assert access.token == "Basic " + base64.b64encode(b"u:p").decode()


async def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    access = load(config(tmp_path / "c", SERVER, {"tokenFile": "token"}))
    assert callable(access.token)
    assert await access.token(None) == Credential("one")
    (tmp_path / "token").write_text("two\n")
    assert await access.token(None) == Credential("two")
    (tmp_path / "token").unlink()
    with pytest.raises(KubeconfigError, match="token file"):
        await access.token(None)


def test_a_plugin_is_run_only_for_whom_the_file_has_no_other_way(tmp_path: Path) -> None:
    """As client-go does: a certificate, a token and a password go before it."""
    plugin = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "plugin"}}
    assert callable(load(config(tmp_path / "c", SERVER, plugin)).token)
    certificate = {"client-certificate-data": "QQ==", "client-key-data": "QQ=="}
    for other in (certificate, {"token": "t"}, {"username": "u"}):
        assert not callable(load(config(tmp_path / "c", SERVER, {**plugin, **other})).token)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"exec": {"command": "x"}}, "apiVersion must be specified for c to use exec authentication plugin"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}, "invalid apiVersion"),
        ({"exec": {"command": "x"}, "auth-provider": {"name": "oidc"}}, "authProvider cannot be provided"),
        ({"as-groups": ["g"]}, "without impersonating a user"),
    ],
)
def test_users_that_kubectl_refuses(tmp_path: Path, user: dict, message: str) -> None:
    with pytest.raises(KubeconfigError, match=message):
        load(config(tmp_path / "c", SERVER, user))


def test_whom_to_impersonate_stands_in_the_file(tmp_path: Path) -> None:
    user = {"token": "t", "as": "jane", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": {"Scopes/x": ["z"]}}
    assert load(config(tmp_path / "c", SERVER, user)).impersonation == [
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-scopes%2Fx", "z"),
    ]


def test_several_files_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = config(tmp_path / "one", {"server": "https://one"}, {"token": "1"}, "one")
    two = config(tmp_path / "two", {"server": "https://two"}, {"token": "2"}, "two")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{one}:{two}")
    assert load().endpoint == "https://one"
    assert load(context="two").token == "2"
    assert kubeconfig.contexts() == {"one", "two"}


@pytest.mark.parametrize(
    ("text", "context", "message"),
    [
        ("", "", "has no current context"),
        ("current-context: x", "", 'context "x" does not exist'),
        ("{contexts: [{name: x, context: {cluster: other}}]}", "x", 'cluster "other" does not exist'),
        (
            "{contexts: [{name: x, context: {cluster: other}}], clusters: [{name: other, cluster: {}}]}",
            "x",
            "has no server",
        ),
        ("a: [", "", "cannot be read"),
        ("[]", "", "is no mapping"),
        (
            "{contexts: [{name: x, context: {cluster: other}}],"
            " clusters: [{name: other, cluster: {server: h, certificate-authority: gone.pem}}]}",
            "x",
            "certificate-authority: .*No such file",
        ),
    ],
)
def test_errors_name_the_file(tmp_path: Path, text: str, context: str, message: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match=message) as error:
        load(path, context)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="does not exist"):
        load(tmp_path / "none")
