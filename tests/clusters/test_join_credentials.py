"""What a kubeconfig may have to reach a real member: credential plugins, proxies, impersonation. kubectl is the measure."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_harness import Member, Members

from kafila.members.kubeconfig import load
from tests.proxy_server import ProxyServer

V1 = "client.authentication.k8s.io/v1"
V1BETA1 = "client.authentication.k8s.io/v1beta1"

# follows client-go's protocol, answers with what its file says, and keeps what it was told
PLUGIN = """#!{python}
import json, os, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
with open({told!r}, "a") as file:
    file.write(json.dumps([info, sys.argv[1:], os.environ.get("REGION")]) + "\\n")
print(json.dumps({{**info, "status": json.load(open({status!r}))}}))
"""


class Plugin:
    def __init__(self, folder: Path, member: Member, version: str = V1, **more: Any) -> None:
        self._status, self._told = folder / "status.json", folder / "told"
        program = folder / "plugin"
        program.write_text(PLUGIN.format(python=sys.executable, told=str(self._told), status=str(self._status)))
        program.chmod(0o755)
        document = yaml.safe_load(member.kubeconfig.read_text())
        document["users"][0]["user"] = {
            "exec": {
                "apiVersion": version,
                "command": "./plugin",
                "args": ["get-token", "--cluster", "m"],
                "env": [{"name": "REGION", "value": "eu"}],
                "interactiveMode": "IfAvailable",
                **more,
            }
        }
        document["clusters"][0]["cluster"]["extensions"] = [
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "m", "apiVersion": "x/v1"}}
        ]
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(document))

    def answers(self, **status: str) -> None:
        self._status.write_text(json.dumps(status))
        self._told.write_text("")

    def told(self) -> list[Any]:
        return [json.loads(line) for line in self._told.read_text().splitlines()]


def token_of(member: Member) -> str:
    member.kubectl("create", "serviceaccount", "plugin", check=False)
    binding = (
        "create",
        "clusterrolebinding",
        "plugin",
        "--clusterrole=cluster-admin",
        "--serviceaccount=default:plugin",
    )
    member.kubectl(*binding, check=False)
    return member.kubectl("create", "token", "plugin").strip()


def statuses(member: Member) -> dict[str, dict[str, str]]:
    pair = {"clientCertificateData": member.admin.certificate.decode(), "clientKeyData": member.admin.key.decode()}
    return {"token": {"token": token_of(member)}, "certificate": pair}


async def uid_by_kafila(kubeconfig: Path) -> str:
    client = load(kubeconfig).client()
    try:
        return (await client.get("/api/v1/namespaces/kube-system"))["metadata"]["uid"]
    finally:
        await client.close()


def uid_by_kubectl(lab: Members, kubeconfig: Path) -> str:
    what = ("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    command = [lab.bin / "kubectl", f"--kubeconfig={kubeconfig}", *what]
    return subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


@pytest.mark.parametrize("version", [V1, V1BETA1])
@pytest.mark.parametrize("info", [True, False])
async def test_a_plugin_is_run_as_kubectl_runs_it(
    lab: Members, member2: Member, tmp_path: Path, version: str, info: bool
) -> None:
    """It is told the same, and both are known by its token and by its certificate."""
    plugin = Plugin(tmp_path, member2, version, provideClusterInfo=info)
    for status in statuses(member2).values():
        plugin.answers(**status)
        expected = await asyncio.to_thread(uid_by_kubectl, lab, plugin.kubeconfig)
        theirs = plugin.told()
        plugin.answers(**status)
        assert await uid_by_kafila(plugin.kubeconfig) == expected
        assert plugin.told() == theirs[:1]
        assert theirs


async def test_a_certificate_that_is_refused_is_exchanged(member1: Member, member2: Member, tmp_path: Path) -> None:
    """That of another cluster is nobody's here: the plugin is run again, and its new one is shown."""
    plugin = Plugin(tmp_path, member2)
    wrong, right = statuses(member1)["certificate"], statuses(member2)["certificate"]
    plugin.answers(**wrong)
    client = load(plugin.kubeconfig).client()
    try:
        status, _ = await client.request("GET", "/api/v1/namespaces/kube-system")
        assert status == 401
        plugin.answers(**right)
        status, _ = await client.request("GET", "/api/v1/namespaces/kube-system")
        assert status == 200
    finally:
        await client.close()


async def test_whom_the_kubeconfig_impersonates_is_who_asks(member2: Member, tmp_path: Path) -> None:
    document = yaml.safe_load(member2.kubeconfig.read_text())
    document["users"][0]["user"] |= {
        "as": "jane",
        "as-groups": ["team:a"],
        "as-user-extra": {"scopes/x": ["one", "two"]},
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
    client = load(tmp_path / "kubeconfig").client()
    try:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        found = await client.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    finally:
        await client.close()
    user = found["status"]["userInfo"]
    assert (user["username"], user["extra"]) == ("jane", {"scopes/x": ["one", "two"]})
    assert "team:a" in user["groups"]


@pytest.fixture(params=["http", "socks5"])
def proxy(request: pytest.FixtureRequest) -> Iterator[tuple[str, ProxyServer]]:
    with ProxyServer() as server:
        yield request.param, server


def test_a_member_behind_a_proxy_joins_by_a_plugin_and_is_ready(
    kafila: Any, member2: Member, tmp_path: Path, proxy: tuple[str, ProxyServer]
) -> None:
    """The whole way: a plugin that answers with a certificate, `proxy-url`, and the control plane goes through the proxy too."""
    protocol, server = proxy
    address = f"{protocol}://{server.address}"
    plugin = Plugin(tmp_path, member2, provideClusterInfo=True)
    plugin.answers(**statuses(member2)["certificate"])
    document = yaml.safe_load(plugin.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["proxy-url"] = address
    plugin.kubeconfig.write_text(yaml.safe_dump(document))
    flags = [f"--kubeconfig={kafila.kubeconfig}", f"--cluster-kubeconfig={plugin.kubeconfig}"]
    command = [sys.executable, "-c", "from kafila.cli import main; main()"]

    def run(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, env=os.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        assert run("join", "proxied", *flags, "--dry-run") == "cluster(proxied) would be joined (dry run)\n"
        assert kafila.kubectl("get", "cluster", "proxied", "--ignore-not-found") == ""
        assert run("join", "proxied", *flags) == "cluster(proxied) is joined successfully\n"
        kafila.kubectl("wait", "cluster/proxied", "--for=condition=Ready", "--timeout=90s")
        cluster = json.loads(kafila.kubectl("get", "cluster", "proxied", "-o", "json"))
        assert cluster["spec"]["proxyURL"] == address
        inside = kafila.kubectl("get", "--raw", "/apis/cluster.karmada.io/v1alpha1/clusters/proxied/proxy/version")
        assert json.loads(inside)["gitVersion"] == cluster["status"]["kubernetesVersion"]
        shown = run("clusters", f"--kubeconfig={kafila.kubeconfig}", "proxied").splitlines()
        assert shown[0].startswith("NAME      VERSION")
        assert shown[1].split()[:4] == ["proxied", cluster["status"]["kubernetesVersion"], "Push", "True"]
        assert run("join", "proxied", *flags) == "cluster(proxied) is updated successfully\n"
    finally:
        told = run("unjoin", "proxied", *flags)
    assert told.endswith("cluster(proxied) is unjoined successfully\n")
    assert "  serviceaccount: karmada-proxied" in told.replace("-n karmada-cluster ", "")
    assert "stay in cluster" not in told
    server.stop()
    assert server.passed() == {(protocol, f"127.0.0.1:{member2.port}")}
