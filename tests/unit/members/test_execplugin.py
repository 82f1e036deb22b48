"""Credential plugins, by scripts that follow (or break) client-go's protocol. With kubectl: tests/clusters/test_join_credentials.py."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kafila.members.execplugin import ExecError, ExecPlugin, check, cluster_info
from kafila.members.login import Credential

V1 = "client.authentication.k8s.io/v1"
V1BETA1 = "client.authentication.k8s.io/v1beta1"


def plugin(script: str, version: str = V1, **more: Any) -> dict:
    told = {"apiVersion": version, "command": sys.executable, "args": ["-c", script], "interactiveMode": "Never"}
    return {**told, **more}


def answering(status: Any, version: str = V1, **more: Any) -> dict:
    answer = {"kind": "ExecCredential", "apiVersion": version, "status": status}
    return plugin(f"print({json.dumps(answer)!r})", version, **more)


@pytest.mark.parametrize("version", [V1, V1BETA1])
async def test_it_gives_a_token_or_a_certificate(version: str) -> None:
    assert await ExecPlugin(answering({"token": "t"}, version), {})() == Credential("Bearer t")
    pair = {"clientCertificateData": "CERT\n", "clientKeyData": "KEY\n"}
    assert await ExecPlugin(answering(pair, version), {})() == Credential("", b"CERT\n", b"KEY\n")
    assert await ExecPlugin(answering({"token": "t", **pair}, version), {})() == Credential(
        "Bearer t", b"CERT\n", b"KEY\n"
    )


TELLING = """
import json, os
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
token = json.dumps([info, os.environ.get("REGION"), os.isatty(0)])
print(json.dumps({**info, "status": {"token": token}}))
"""


async def test_it_is_told_of_the_cluster_when_it_asks_for_that() -> None:
    cluster = {
        "server": "https://c:6443",
        "proxy-url": "http://p",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "c"}}],
    }
    run = ExecPlugin(
        plugin(TELLING, provideClusterInfo=True, env=[{"name": "REGION", "value": "eu"}]), cluster_info(cluster, b"CA")
    )
    info, region, terminal = json.loads((await run()).token.removeprefix("Bearer "))
    assert (region, terminal) == ("eu", False)
    assert info == {
        "kind": "ExecCredential",
        "apiVersion": V1,
        "spec": {
            "interactive": False,
            "cluster": {
                "server": "https://c:6443",
                "certificate-authority-data": "Q0E=",
                "proxy-url": "http://p",
                "config": {"audience": "c"},
            },
        },
    }
    info, *_ = json.loads((await ExecPlugin(plugin(TELLING), {"server": "x"})()).token.removeprefix("Bearer "))
    assert info["spec"] == {"interactive": False}


async def test_our_own_settings_are_not_handed_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFILA_DATABASE_URL", "postgresql://u:secret@db/kafila")
    monkeypatch.setenv("HTTPS_PROXY", "http://p")
    script = (
        "import json, os\ninfo = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "print(json.dumps({**info, 'status': {'token': ' '.join(os.environ)}}))"
    )
    run = ExecPlugin(plugin(script, env=[{"name": "KAFILA_GIVEN", "value": "x"}]), {})
    names = (await run()).token.split()
    assert {"HTTPS_PROXY", "PATH", "KAFILA_GIVEN"} <= set(names)
    assert "KAFILA_DATABASE_URL" not in names


@pytest.mark.parametrize(
    ("mode", "terminal", "interactive"),
    [("Never", True, False), ("IfAvailable", True, True), ("IfAvailable", False, False), ("Always", True, True)],
)
async def test_whether_it_may_ask_the_user(mode: str, terminal: bool, interactive: bool) -> None:
    run = ExecPlugin(plugin(TELLING, interactiveMode=mode), {}, terminal=terminal)
    info, *_ = json.loads((await run()).token.removeprefix("Bearer "))
    assert info["spec"]["interactive"] is interactive


COUNTING = """
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
count = int(path.read_text() or 0) + 1
path.write_text(str(count))
status = {"token": f"t{count}", **json.loads(sys.argv[2])}
print(json.dumps({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status}))
"""


async def test_an_answer_serves_until_it_expires_or_is_refused(tmp_path: Path) -> None:
    count = tmp_path / "count"

    def counting(**status: str) -> ExecPlugin:
        count.write_text("")
        made = plugin(COUNTING)
        return ExecPlugin({**made, "args": [*made["args"], str(count), json.dumps(status)]}, {})

    lasting = counting(expirationTimestamp="2999-01-01T00:00:00Z")
    first = await lasting()
    assert (first.token, (await lasting()).token) == ("Bearer t1", "Bearer t1")
    # two requests that were refused at the same time: it is run once
    found = await asyncio.gather(lasting(first), lasting(first))
    assert [each.token for each in found] == ["Bearer t2", "Bearer t2"]
    expired = counting(expirationTimestamp="2001-01-01T00:00:00Z")
    assert [(await expired()).token, (await expired()).token] == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (plugin("import sys; sys.exit('log in first')"), r"failed with exit code 1: log in first$"),
        (
            plugin("x", command="no-such-plugin", installHint="brew\ninstall it"),
            "no-such-plugin not found: brew install it$",
        ),
        (plugin("x", command="no-such-plugin"), "exec: executable no-such-plugin not found$"),
        (plugin("print('hello')"), "decoding stdout: it is no ExecCredential"),
        (plugin("print('[' * 900)"), "decoding stdout: it is no ExecCredential"),
        (
            answering({"token": "t"}, V1BETA1, apiVersion=V1),
            "to use API version .*/v1, plugin returned version .*/v1beta1$",
        ),
        (answering(None), "exec plugin didn't return a status field"),
        (answering({}), "exec plugin didn't return a token or cert/key pair"),
        (answering({"clientKeyData": "K"}), "exec plugin returned only certificate or key, not both"),
        (answering({"token": ["t"]}), "status.token is no text"),
        (answering({"token": "t\nX-Header: y"}), "status.token is no text"),
        (answering({"token": "t", "expirationTimestamp": "soon"}), "expirationTimestamp is no time"),
        (plugin("print('x' * 2000)"), "answered more than 1000 bytes"),
    ],
)
async def test_what_gives_no_credential(wrong: dict, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExecError, match=message) as raised:
        await ExecPlugin(wrong, {}, most=1000)()
    assert "\n" not in str(raised.value)


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_one_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = (
        "import pathlib, subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(started)!r}).write_text(str(child.pid)); child.wait()"
    )
    run = ExecPlugin(plugin(script), {}, limit=600)
    task = asyncio.create_task(run())
    while not started.exists() or not started.read_text():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    pid = int(started.read_text())
    while is_running(pid):
        await asyncio.sleep(0.01)  # it is killed, which takes a moment
    with pytest.raises(ExecError, match=r"did not answer within 0\.01s"):
        await ExecPlugin(plugin("import time; time.sleep(600)"), {}, limit=0.01)()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"command": ""}, "command must be specified for u"),
        ({"apiVersion": ""}, "apiVersion must be specified for u"),
        (
            {"apiVersion": "client.authentication.k8s.io/v1alpha1"},
            'invalid apiVersion "client.authentication.k8s.io/v1alpha1"',
        ),
        ({"env": [{"value": "x"}]}, "env variable name must be specified for u"),
        ({"interactiveMode": ""}, "interactiveMode must be specified for u"),
        ({"interactiveMode": "Sometimes"}, 'invalid interactiveMode for u: "Sometimes"'),
    ],
)
def test_what_is_refused_before_it_runs(given: dict, message: str) -> None:
    with pytest.raises(ExecError, match=message):
        check("u", {**plugin("x"), **given})
    check("u", {"command": "x", "apiVersion": V1BETA1})  # where the mode has a default


async def test_who_has_to_be_asked_cannot_be_without_a_terminal() -> None:
    with pytest.raises(ExecError, match="standard input is not a terminal"):
        await ExecPlugin(answering({"token": "t"}, interactiveMode="Always"), {}, terminal=False)()
