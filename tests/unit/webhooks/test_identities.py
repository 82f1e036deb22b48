"""As whom webhooks are asked: the file that says it, and which of its users is meant."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from kafila.core.values import Object
from kafila.machinery.configuration import ConfigurationError
from kafila.webhooks import NOBODY, Identities
from kafila.webhooks.configuration import read_identities
from kafila.webhooks.identity import Identity

USERS = {
    name: Identity(name) for name in ("hooks.ns.svc:8443", "hooks.ns.svc", "*.ns.svc", "*.svc:8443", "*", "current")
}


@pytest.mark.parametrize(
    ("host", "port", "user"),
    [
        ("hooks.ns.svc", 8443, "hooks.ns.svc:8443"),
        ("hooks.ns.svc", 443, "hooks.ns.svc"),
        ("other.ns.svc", 443, "*.ns.svc"),
        ("other.ns.svc", 8443, "*.svc:8443"),
        ("other.ns.svc", 9443, "*"),
        ("example.org", 443, "*"),
    ],
)
def test_the_closest_name_counts(host: str, port: int, user: str) -> None:
    assert Identities(USERS, "current").of(host, port).authorization == user


def test_without_a_name_it_is_the_current_user_or_nobody() -> None:
    assert Identities({"current": Identity("current")}, "current").of("example.org", 443).authorization == "current"
    assert Identities({"current": Identity("current")}).of("example.org", 443) == NOBODY


def written(folder: Path, *plugins: Object, users: Object | None = None) -> Path:
    kubeconfig: Object = {
        "users": [{"name": name, "user": user} for name, user in (users or {}).items()],
        "contexts": [{"name": "c", "context": {"user": "u", "cluster": "x"}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    file = folder / "admission.yaml"
    made = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": list(plugins)}
    file.write_text(yaml.safe_dump(made))
    return file


def plugin(folder: Path, name: str = "ValidatingAdmissionWebhook", **configuration: str) -> Object:
    inner = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": str(folder / "kubeconfig"),
        **configuration,
    }
    return {"name": name, "configuration": inner}


def test_what_the_file_says(tmp_path: Path) -> None:
    secret = base64.b64encode(b"PEM").decode()
    users = {
        "u": {"token": "t"},
        "*.example.org": {"username": "a", "password": "b"},
        "hooks.ns.svc": {"client-certificate-data": secret, "client-key-data": secret},
    }
    known = read_identities(written(tmp_path, plugin(tmp_path), users=users))
    assert known.mutating.of("example.org", 443) == NOBODY
    assert known.validating.of("example.com", 443) == Identity("Bearer t")
    assert known.validating.of("a.example.org", 443) == Identity("Basic YTpi")
    assert known.validating.of("hooks.ns.svc", 443) == Identity("", b"PEM", b"PEM")


def test_a_plugin_of_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(yaml.safe_dump(plugin(tmp_path)["configuration"]))
    file = written(tmp_path, {"name": "MutatingAdmissionWebhook", "path": "inner.yaml"}, users={"u": {"token": "t"}})
    assert read_identities(file).mutating.of("x", 443) == Identity("Bearer t")


def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path) -> None:
    wrong: list[tuple[list[Object], Object, str]] = [
        ([{"name": "PodSecurity", "path": "x"}], {}, "no other plugin has a configuration here"),
        ([{"name": "ValidatingAdmissionWebhook"}], {}, "needs either path or configuration"),
        ([plugin(tmp_path), plugin(tmp_path)], {}, "stands here a second time"),
        ([plugin(tmp_path, kubeConfigFile="x")], {}, "must be an absolute file path"),
        ([plugin(tmp_path, kind="Other")], {}, "kind must be WebhookAdmissionConfiguration"),
        ([plugin(tmp_path, more="x")], {}, 'unknown field "more"'),
        ([{"name": "ValidatingAdmissionWebhook", "path": "none.yaml"}], {}, "cannot be read"),
        ([plugin(tmp_path)], {"u": {"exec": {"command": "x"}}}, "credential plugins are not supported"),
        ([plugin(tmp_path)], {"u": {"token": "a\r\nb"}}, "no header can carry"),
        ([plugin(tmp_path)], {"u": {"client-key": "/nowhere"}}, "No such file"),
    ]
    for plugins, users, said in wrong:
        with pytest.raises(ConfigurationError, match=r"^line [0-9]+: ") as raised:
            read_identities(written(tmp_path, *plugins, users=users))
        assert said in str(raised.value), said
