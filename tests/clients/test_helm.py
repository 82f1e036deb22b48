"""Helm, unmodified, installs, upgrades, rolls back and uninstalls a chart with hooks and a CustomResourceDefinition: version 3 with its own three-way merge, version 4
with server-side apply."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kafila.catalog.version import MINOR_VERSION

CHART = str(Path(__file__).parent / "chart")
SERVER_SIDE, MERGE = "4.2.4", "3.21.4"
KINDS = "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets,ingresses"


class Namespace:
    """A namespace with the programs that work in it."""

    def __init__(self, name: str, served: Any, programs: Path) -> None:
        self.name, self._environment, self._programs = name, served.environment, programs

    def helm(self, version: str, *arguments: str) -> str:
        done = self._run(f"helm-{version}", arguments)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, version: str, *arguments: str) -> str:
        done = self._run(f"helm-{version}", arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def kubectl(self, *arguments: str) -> str:
        done = self._run("kubectl", arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, what: str) -> Any:
        return json.loads(self.kubectl("get", what, "-o", "json", "--show-managed-fields"))

    def names(self) -> set[str]:
        """What the release has here."""
        return {name for name in self.kubectl("get", KINDS, "-o", "name").split() if "/shop" in name}

    def hooks(self) -> dict[str, str]:
        """Which hooks have run, and for which revision they did last."""
        found = self.get("configmaps")["items"]
        hooks = [c for c in found if "helm.sh/hook" in c["metadata"].get("annotations", {})]
        return {hook["metadata"]["annotations"]["helm.sh/hook"]: hook["data"]["revision"] for hook in hooks}

    def _run(self, program: str, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        command = [self._programs / program, "--namespace", self.name, *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def here(served: Any, namespace: str, programs: Path) -> Namespace:
    if not (programs / f"helm-{SERVER_SIDE}").exists():
        pytest.skip("there is no Helm: run tests/clusters/build.sh")
    return Namespace(namespace, served, programs)


@pytest.mark.parametrize("version", [SERVER_SIDE, MERGE])
def test_life_of_a_release(here: Namespace, version: str) -> None:
    installed = here.helm(version, "install", "shop", CHART)
    assert "STATUS: deployed" in installed
    assert f"serves red on Kubernetes v{MINOR_VERSION}" in installed
    assert "It is propagated." in installed  # the chart sees what the server has
    everything = here.names()
    assert {"deployment.apps/shop-web", "ingress.networking.k8s.io/shop", "secret/shop-secret"} <= everything
    assert here.hooks() == {"pre-install": "1", "post-install": "1"}
    assert "still in use" in here.refused(version, "install", "shop", CHART)

    here.kubectl("scale", "deployment/shop-web", "--replicas=2")  # no change: nobody fights about it
    here.helm(version, "upgrade", "shop", CHART, "--set", "color=blue,image=nginx:2,ingress=false")
    deployment = here.get("deployment/shop-web")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    assert here.get("configmap/shop-config")["data"] == {"color": "blue"}
    assert everything - here.names() == {"ingress.networking.k8s.io/shop"}
    assert here.get("tills/shop")["spec"] == {"color": "blue", "drawers": 1}
    here.kubectl("patch", "till/shop", "--type=merge", "-p", '{"spec":{"drawers":3}}')  # somebody else's from now on
    assert here.hooks()["pre-upgrade"] == here.hooks()["post-upgrade"] == "2"
    assert 'Unsupported value: "black"' in here.refused(version, "upgrade", "shop", CHART, "--set", "color=black")

    here.helm(version, "rollback", "shop", "1")
    assert here.get("deployment/shop-web")["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1"
    assert everything <= here.names()
    history = json.loads(here.helm(version, "history", "shop", "-o", "json"))
    assert [r["status"] for r in history] == ["superseded", "superseded", "failed", "deployed"]
    assert here.get("tills/shop")["spec"] == {"color": "red", "drawers": 3}
    assert [r["name"] for r in json.loads(here.helm(version, "list", "-o", "json"))] == ["shop"]
    secrets = here.get("secrets")["items"]
    assert [s["type"] for s in secrets if s["metadata"].get("labels", {}).get("owner") == "helm"] == [
        "helm.sh/release.v1"
    ] * 4

    here.helm(version, "uninstall", "shop")
    left = {name for name in here.names() if "pre-" not in name and "post-" not in name}
    assert left == set()
    assert here.kubectl("get", "tills", "-o", "name") == ""
    assert here.kubectl("get", "crd", "tills.shop.example.com", "-o", "name")
    assert "pre-delete" in here.hooks()
    assert json.loads(here.helm(version, "list", "-o", "json")) == []


@pytest.mark.parametrize("version", [SERVER_SIDE, MERGE])
def test_what_the_server_refuses_fails_the_release(here: Namespace, version: str) -> None:
    said = here.refused(version, "install", "shop", CHART, "--set", "replicas=-1")
    assert "must be greater than or equal to 0" in said
    assert json.loads(here.helm(version, "list", "-o", "json"))[0]["status"] == "failed"
    here.helm(version, "upgrade", "--install", "--reset-values", "shop", CHART)
    assert here.get("deployment/shop-web")["spec"]["replicas"] == 2
    here.helm(version, "upgrade", "shop", CHART, "--dry-run=server", "--set", "color=green")
    assert here.get("configmap/shop-config")["data"] == {"color": "red"}


def test_a_release_of_helm_3_goes_on_with_server_side_apply(here: Namespace) -> None:
    here.helm(MERGE, "install", "shop", CHART)
    here.helm(SERVER_SIDE, "upgrade", "shop", CHART, "--server-side=true", "--set", "color=blue,replicas=3")
    deployment = here.get("deployment/shop-web")
    assert deployment["spec"]["replicas"] == 3
    managers = {(f["manager"], f["operation"]) for f in deployment["metadata"]["managedFields"]}
    assert ("helm", "Apply") in managers
    assert ("helm", "Update") not in managers
    here.helm(SERVER_SIDE, "uninstall", "shop")


def test_server_side_apply_tells_whose_field_it_is(here: Namespace) -> None:
    here.helm(SERVER_SIDE, "install", "shop", CHART)
    here.kubectl("scale", "deployment/shop-web", "--replicas=5")
    said = here.refused(SERVER_SIDE, "upgrade", "shop", CHART, "--set", "replicas=3")
    assert 'conflict with "kubectl"' in said
    assert ".spec.replicas" in said
    here.helm(SERVER_SIDE, "upgrade", "shop", CHART, "--set", "replicas=3", "--force-conflicts")
    assert here.get("deployment/shop-web")["spec"]["replicas"] == 3


def test_the_three_way_merge_keeps_what_others_added(here: Namespace) -> None:
    here.helm(MERGE, "install", "shop", CHART)
    here.kubectl("set", "env", "deployment/shop-web", "EXTRA=1")
    here.kubectl("patch", "configmap/shop-config", "--type=merge", "-p", '{"data":{"extra":"1","color":"black"}}')
    here.helm(MERGE, "upgrade", "shop", CHART, "--set", "image=nginx:2")
    container = here.get("deployment/shop-web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "nginx:2"
    assert [e["name"] for e in container["env"]] == ["COLOR", "EXTRA"]
    assert here.get("configmap/shop-config")["data"] == {"color": "red", "extra": "1"}
