"""Webhook servers of others, unmodified: Kubernetes' own for Pod Security, Karmada's, and one of controller-runtime's builders."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import pytest
import trustme
import yaml

from kafila.core.values import Object
from tests.definitions import definition, properties, version

from .conftest import Served

AUTHORITY: Final = trustme.CA()
BUNDLE: Final = base64.b64encode(AUTHORITY.cert_pem.bytes()).decode()


@final
class Control:
    """kubectl with a control plane."""

    def __init__(self, served: Served, program: Path) -> None:
        self.served = served
        self._program = program

    def __call__(self, *arguments: str, stdin: Any = None, fails: bool = False) -> str:
        text = None if stdin is None else stdin if isinstance(stdin, str) else json.dumps(stdin)
        done = subprocess.run(
            [self._program, *arguments],
            input=text,
            env=self.served.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout + done.stderr

    def get(self, *arguments: str) -> Object:
        return dict(json.loads(self("get", *arguments, "-o", "json")))

    def apply(self, *objects: Object) -> str:
        return self("apply", "-f", "-", stdin={"kind": "List", "apiVersion": "v1", "items": list(objects)})


@pytest.fixture(scope="module")
def control(served: Served, programs: Path) -> Control:
    return Control(served, programs / "kubectl")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with tls.crt and tls.key."""
    folder = tmp_path_factory.mktemp("certificates")
    issued = AUTHORITY.issue_cert("127.0.0.1", "localhost", "webhook.pod-security-webhook.svc")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    return folder


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(port: int, log: Path, *command: str | Path) -> Iterator[None]:
    """Until it takes connections, and then as long as it is needed."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 60
        context = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as raw:
                    context.wrap_socket(raw, server_hostname="localhost").close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def configuration(kind: str, name: str, *hooks: Object) -> Object:
    api_version = "admissionregistration.k8s.io/v1"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "webhooks": list(hooks)}


def configmap(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def without(control: Control, *configurations: str) -> None:
    control("delete", "--ignore-not-found", *configurations)


# -- controller-runtime --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built_with_controller_runtime(go_programs: Path, certificates: Path, tmp_path_factory: Any) -> Iterator[int]:
    port = free_port()
    log = tmp_path_factory.mktemp("webhooks") / "log"
    with running(port, log, go_programs / "webhooks", str(port), certificates):
        yield port


def test_admission_of_controller_runtime(control: Control, built_with_controller_runtime: int) -> None:
    url = f"https://127.0.0.1:{built_with_controller_runtime}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}
    hook = {
        "name": "configmaps.example.com",
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
    }
    mutating = {**hook, "clientConfig": {"url": f"{url}/mutate", "caBundle": BUNDLE}}
    validating = {**hook, "clientConfig": {"url": f"{url}/validate", "caBundle": BUNDLE}}
    control.apply(
        configuration("MutatingWebhookConfiguration", "runtime", mutating),
        configuration("ValidatingWebhookConfiguration", "runtime", validating),
    )
    try:
        control("create", "-f", "-", stdin=configmap("fine", keep="yes"))
        assert control.get("configmap", "fine")["metadata"]["labels"] == {"defaulted": "true"}
        said = control("create", "-f", "-", stdin=configmap("bad", forbidden="x"), fails=True)
        assert 'admission webhook "configmaps.example.com" denied the request: data.forbidden may not be set' in said
        assert "Warning: data.old is deprecated" in control("create", "-f", "-", stdin=configmap("old", old="x"))
        said = control("delete", "configmap", "fine", fails=True)
        assert 'admission webhook "configmaps.example.com" denied the request: it is kept' in said
        changed = configmap("fine", keep="yes", more="x")
        said = control("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=changed)
        assert "serverside-applied (server dry run)" in said
    finally:
        without(control, "mutatingwebhookconfiguration/runtime", "validatingwebhookconfiguration/runtime")


def test_conversion_of_controller_runtime(control: Control, built_with_controller_runtime: int) -> None:
    url = f"https://127.0.0.1:{built_with_controller_runtime}/convert"
    specs: dict[str, Object] = {
        "v1": {"size": {"type": "string"}},
        "v2": {"amount": {"type": "integer"}, "unit": {"type": "string"}},
    }
    versions = (
        version(name, properties(spec=properties(**spec)), storage=name == "v2") for name, spec in specs.items()
    )
    webhook = {"clientConfig": {"url": url, "caBundle": BUNDLE}, "conversionReviewVersions": ["v1"]}
    conversion = {"strategy": "Webhook", "webhook": webhook}
    control.apply(definition("example.com", "Gadget", *versions, conversion=conversion))
    try:
        control("wait", "--for=condition=Established", "crd/gadgets.example.com")
        gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": "5kg"}}
        control("create", "-f", "-", stdin=gadget)
        assert control.get("gadgets.v2.example.com", "g")["spec"] == {"amount": 5, "unit": "kg"}
        control("patch", "gadgets.v1.example.com", "g", "--type=merge", "-p", '{"spec":{"size":"6g"}}')
        assert control.get("gadgets.v2.example.com")["items"][0]["spec"] == {"amount": 6, "unit": "g"}
        gadget["spec"] = {"size": "none"}
        said = control("replace", "-f", "-", stdin=gadget, fails=True)
        assert 'conversion webhook for example.com/v1, Kind=Gadget failed: size "none" has no amount' in said
    finally:
        control("delete", "crd", "gadgets.example.com")


# -- Kubernetes' webhook for Pod Security ----------------------------------------------------------------------------------------

STANDARDS: Final = """\
apiVersion: pod-security.admission.config.k8s.io/v1
kind: PodSecurityConfiguration
defaults: {enforce: restricted, enforce-version: latest, warn: restricted, warn-version: latest}
exemptions: {namespaces: [kube-system, default]}
"""


def test_the_pod_security_webhook(control: Control, certificates: Path, tmp_path: Path, programs: Path) -> None:
    """Reached by a Service, and it asks this control plane about namespaces and pods."""
    made = yaml.safe_load((programs.parent / "webhooks/pod-security.yaml").read_text())
    port, standards = free_port(), tmp_path / "standards.yaml"
    standards.write_text(STANDARDS)
    for hook in made["webhooks"]:
        hook["clientConfig"]["caBundle"] = BUNDLE
        hook["clientConfig"]["service"]["port"] = port
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "webhook", "namespace": "pod-security-webhook"},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    flags = {
        "kubeconfig": control.served.kubeconfig,
        "config": standards,
        "secure-port": port,
        "tls-cert-file": certificates / "tls.crt",
        "tls-private-key-file": certificates / "tls.key",
    }
    template: Object = {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    metadata = {"name": "it", "namespace": "secured"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **template}
    labelled = {"metadata": {"labels": {"a": "b"}}, **template}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": labelled}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "secured"}}
    program = programs / "pod-security-webhook"
    with running(port, tmp_path / "log", program, *(f"--{name}={value}" for name, value in flags.items())):
        control("create", "namespace", "pod-security-webhook")
        control.apply(service, space)
        control.apply(made)
        try:
            said = control("create", "-f", "-", stdin=pod, fails=True)
            denied = 'admission webhook "pod-security-webhook.kubernetes.io" denied the request: '
            assert f'{denied}pods "it" is forbidden: violates PodSecurity "restricted:latest": ' in said
            said = control("create", "-f", "-", stdin=deployment)
            assert 'Warning: would violate PodSecurity "restricted:latest": ' in said
            said = control("label", "namespace", "secured", "pod-security.kubernetes.io/enforce=privileged")
            assert "secured labeled" in said
            control("create", "-f", "-", stdin=pod)
        finally:
            without(control, f"validatingwebhookconfiguration/{made['metadata']['name']}")


# -- Karmada's -------------------------------------------------------------------------------------------------------------------


def test_karmada_webhook(control: Control, certificates: Path, tmp_path: Path, programs: Path) -> None:
    """Its own configurations. It mutates and validates what users write, and what kafila's controllers write."""
    manifest = programs.parent / "webhooks/karmada.yaml"
    port = free_port()
    text = manifest.read_text().replace("{{caBundle}}", BUNDLE)
    made = list(yaml.safe_load_all(text.replace("karmada-webhook.karmada-system.svc:443", f"127.0.0.1:{port}")))
    flags = {
        "kubeconfig": control.served.kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "cert-dir": certificates,
        "health-probe-bind-address": "0",
        "metrics-bind-address": "0",
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    with running(port, tmp_path / "log", programs / "webhook", *arguments):
        control.apply(*made)
        try:
            policy = {
                "apiVersion": "policy.karmada.io/v1alpha1",
                "kind": "PropagationPolicy",
                "metadata": {"name": "p", "namespace": "default"},
                "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "carried"}]},
            }
            control("create", "-f", "-", stdin=policy)
            bad = {**policy, "metadata": {"name": "bad", "namespace": "default"}}
            bad["spec"] = {**policy["spec"], "placement": {"spreadConstraints": [{"maxGroups": 1, "minGroups": 2}]}}
            said = control("create", "-f", "-", stdin=bad, fails=True)
            assert "maxGroups lower than minGroups" in said
            control("create", "-f", "-", stdin=configmap("carried", a="b"))
            deadline = time.monotonic() + 60
            while "carried-configmap" not in (shown := control("get", "resourcebindings", "-A", "-o", "name")):
                assert time.monotonic() < deadline, shown
                time.sleep(0.1)
        finally:
            names = [f"{each['kind'].lower()}/{each['metadata']['name']}" for each in made]
            without(control, *names)
            control("delete", "--ignore-not-found", "propagationpolicy/p", "configmap/carried")
