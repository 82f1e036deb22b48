"""kafila.cli.init: what is wrong is one line, before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafila.cli import main
from kafila.cli.init import _forget, _write
from kafila.machinery.yamlout import dump_text
from kafila.members.kubeconfig import contexts, document, load, write

URL = "--database-url=postgresql://db/kafila"
WRONG = [
    ((), "give one of --database-url, --database-secret and --cloudnative-pg: where the data are kept"),
    ((URL, "--cloudnative-pg"), "give one of --database-url"),
    (("--database-url=mysql://secret:word@db",), "--database-url: must begin with postgresql://"),
    ((URL, "--namespace=A"), "invalid value 'A' for --namespace: a lowercase RFC 1123 label"),
    ((URL, "--image=a b"), "invalid value 'a b' for --image: must be as registry.example.org/kafila:1.0"),
    ((URL, "--advertise=a/b"), "invalid value 'a/b' for --advertise: must be HOST or HOST:PORT"),
    ((URL, "--advertise=x:0"), "invalid value 'x:0' for --advertise: the port must be a number from 1 to 65535"),
    ((URL, "--service-type=LoadBalancer"), "--service-type LoadBalancer needs --advertise"),
    ((URL, "--service-type=Ingress"), 'Invalid value "Ingress" for --service-type'),
    ((URL, "--node-port=0"), "invalid value '0' for --node-port: must be from 1 to 65535"),
    ((URL, "--api-replicas=101"), "invalid value '101' for --api-replicas: must be from 1 to 100"),
    ((URL, "--wait=soon"), 'invalid duration "soon", e.g. 1m0s'),
    (("--database-secret=A/b",), "invalid value 'A' for --database-secret: a lowercase RFC 1123 subdomain"),
]


@pytest.mark.parametrize(("arguments", "why"), WRONG, ids=[why for _, why in WRONG])
def test_a_wrong_command_line(
    arguments: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFILA_DATABASE_URL", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["init", "--kubeconfig=/nonexistent/file", *arguments])
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    (line,) = shown.err.splitlines()
    assert line.startswith(f"error: {why}")
    assert "word" not in line


@pytest.mark.parametrize("command", [("init", URL), ("deinit",)])
def test_a_kubeconfig_that_is_not_there(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--kubeconfig=/nonexistent/file"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: kubeconfig /nonexistent/file does not exist\n"


def test_a_kubeconfig_of_ones_own_keeps_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the host's, too, and its address is not written as we write it."""
    (tmp_path / "real").touch(0o644)
    file = tmp_path / "config"
    file.symlink_to("real")
    write(file.resolve(), document("mine", "https://host:6443/", token="t"))
    before = file.read_bytes()
    access, plane = load(file), dump_text(document("karmada-apiserver", "https://kafila:5443", token="own"))
    for _ in range(2):
        _write(file, str(file), access, "here", plane)
        assert contexts(file) == {"mine", "karmada-apiserver", "karmada-host"}
        assert (load(file).context, load(file).token) == ("mine", "t")
        assert file.is_symlink()
        assert file.stat().st_mode & 0o777 == 0o600
    assert "mine is its current context as before" in capsys.readouterr().out
    for namespace, dry_run in (("there", False), ("here", True)):
        _forget(file, access.endpoint, namespace, "", dry_run)
        assert len(contexts(file)) == 3
    _forget(file, access.endpoint, "here", "", False)
    assert file.read_bytes() == before
    assert capsys.readouterr().out.endswith(f"karmada-apiserver and karmada-host removed from {file}\n")


def test_a_kubeconfig_of_its_own_goes(tmp_path: Path) -> None:
    host, file = tmp_path / "host", tmp_path / "new" / "config"
    write(host, document("mine", "https://host:6443/", token="t"))
    _write(file, str(host), load(host), "here", dump_text(document("karmada-apiserver", "https://kafila", token="own")))
    assert load(file).endpoint == "https://kafila"
    _forget(file, "https://host:6443", "here", "", False)
    assert not file.exists()


def test_migrate_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, why in (
        (["--kubeconfig-secret=a"], "--kubeconfig-secret and --metrics-secret need --host-kubeconfig"),
        (["--kubeconfig-secret=a", "--host-kubeconfig=/x"], "--kubeconfig-secret needs --advertise"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["migrate", *arguments])
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: {why}")
