"""kafila.cli.init: what is wrong is one line, before anything is asked."""

from __future__ import annotations

import pytest

from kafila.cli import main

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


def test_migrate_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, why in (
        (["--kubeconfig-secret=a"], "--kubeconfig-secret and --metrics-secret need --host-kubeconfig"),
        (["--kubeconfig-secret=a", "--host-kubeconfig=/x"], "--kubeconfig-secret needs --advertise"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["migrate", *arguments])
        assert ended.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: {why}")
