"""kubectl of three minor versions, as people use it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, final

import pytest

from kafila.catalog.version import MINOR_VERSION
from tests.versions import OLDER_MINORS

MINORS = (MINOR_VERSION, *OLDER_MINORS)  # what tests/clusters/build.sh builds
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: nginx:1
        ports: [{containerPort: 80}]
"""
POLICY = """\
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata:
  name: web
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web}]
  placement: {clusterAffinity: {clusterNames: [member1]}}
"""


@final
class Kubectl:
    def __init__(self, minor: str, program: Path, environment: dict[str, str], namespace: str, home: Path) -> None:
        self.minor = minor
        self.program = program
        self.environment = {**environment, "HOME": str(home)}  # its caches of discovery and OpenAPI
        self.namespace = namespace

    def command(self, *arguments: str) -> list[str]:
        return [str(self.program), "-n", self.namespace, *arguments]

    def __call__(self, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
        """What it shows. Fails when it does not end with ``code``."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, f"kubectl {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))


@pytest.fixture(params=MINORS)
def kubectl(request: pytest.FixtureRequest, served: Any, namespace: str, programs: Path, tmp_path: Path) -> Kubectl:
    program = programs / "kubectl" if request.param == MINORS[0] else programs / request.param / "kubectl"
    if not program.exists():
        pytest.skip("run tests/clusters/build.sh")
    return Kubectl(request.param, program, served.environment, namespace, tmp_path)


def test_versions(kubectl: Kubectl) -> None:
    shown, _ = json.JSONDecoder().raw_decode(kubectl("version", "-o", "json"))  # a warning about the skew may follow
    assert f"1.{shown['clientVersion']['minor']}" == kubectl.minor
    assert shown["serverVersion"]["minor"] == MINOR_VERSION.partition(".")[2]


def test_client_side_apply_diff_and_prune_of_fields(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web unchanged\n"
    assert kubectl("diff", "-f", "-", stdin=DEPLOYMENT) == ""
    changed = DEPLOYMENT.replace("nginx:1", "nginx:2").replace("  replicas: 2\n", "")
    difference = kubectl("diff", "-f", "-", stdin=changed, code=1)
    assert "-      - image: nginx:1" in difference
    assert "+      - image: nginx:2" in difference
    assert kubectl("apply", "-f", "-", stdin=changed) == "deployment.apps/web configured\n"
    assert kubectl.json("get", "deploy", "web")["spec"]["replicas"] == 1  # taken back to the default
    assert (
        kubectl("apply", "-f", "-", "--dry-run=server", stdin=DEPLOYMENT)
        == "deployment.apps/web configured (server dry run)\n"
    )
    assert kubectl("delete", "-f", "-", stdin=DEPLOYMENT).startswith('deployment.apps "web" deleted')


def test_server_side_apply_and_its_conflicts(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, stdin=DEPLOYMENT) == "deployment.apps/web serverside-applied\n"
    kubectl("scale", "deployment/web", "--replicas=5")
    refused = kubectl(*apply, stdin=DEPLOYMENT, code=1)
    assert 'conflict with "kubectl"' in refused
    assert ".spec.replicas" in refused
    assert kubectl.json("get", "deploy", "web")["spec"]["replicas"] == 5
    kubectl(*apply, "--force-conflicts", stdin=DEPLOYMENT)
    assert kubectl.json("get", "deploy", "web")["spec"]["replicas"] == 2
    shown = kubectl("diff", "--server-side", "-f", "-", stdin=DEPLOYMENT.replace("nginx:1", "nginx:3"), code=1)
    assert "+      - image: nginx:3" in shown
    kubectl(*apply, "--field-manager=other", stdin=DEPLOYMENT)
    managers = kubectl.json("get", "deploy", "web", "--show-managed-fields")["metadata"]["managedFields"]
    assert {m["manager"] for m in managers if m["operation"] == "Apply"} == {"kubectl", "other"}


def test_unknown_fields_are_refused_warned_of_or_ignored(kubectl: Kubectl) -> None:
    wrong = DEPLOYMENT.replace("replicas: 2", "replicaz: 2")
    refused = kubectl("apply", "--validate=strict", "-f", "-", stdin=wrong, code=1)
    assert 'unknown field "spec.replicaz"' in refused
    warned = kubectl("apply", "--validate=warn", "-f", "-", stdin=wrong)
    assert 'Warning: unknown field "spec.replicaz"' in warned
    assert kubectl("apply", "--validate=ignore", "-f", "-", stdin=wrong) == "deployment.apps/web configured\n"
    refused = kubectl("apply", "--validate=strict", "-f", "-", stdin=POLICY.replace("placement:", "plaecment:"), code=1)
    assert 'unknown field "spec.plaecment"' in refused


def test_explain(kubectl: Kubectl) -> None:
    shown = kubectl("explain", "deployment.spec.strategy.rollingUpdate")
    assert "GROUP:      apps" in shown
    assert "maxSurge" in shown
    shown = kubectl("explain", "propagationpolicy.spec.placement.clusterAffinity")
    assert "GROUP:      policy.karmada.io" in shown
    assert "clusterNames" in shown
    assert "<[]string>" in shown
    assert "spreadConstraints" in kubectl("explain", "pp", "--recursive")


def test_api_resources_and_versions(kubectl: Kubectl) -> None:
    shown = kubectl("api-resources", "--no-headers")
    lines = [line.split() for line in shown.splitlines()]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in lines
    assert ["resourcebindings", "rb", "work.karmada.io/v1alpha2", "true", "ResourceBinding"] in lines
    assert ["clusters", "cluster.karmada.io/v1alpha1", "false", "Cluster"] in lines
    versions = kubectl("api-versions").split()
    assert {"v1", "apps/v1", "policy.karmada.io/v1alpha1"} <= set(versions)


def test_patches_labels_annotations_and_images(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    kubectl(
        "patch", "deploy", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"s:1"}]}}}}'
    )
    containers = kubectl.json("get", "deploy", "web")["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["side", "web"]
    kubectl("patch", "deploy", "web", "--type=merge", "-p", '{"spec":{"paused":true}}')
    operations = '[{"op":"test","path":"/spec/paused","value":true},{"op":"remove","path":"/spec/paused"}]'
    kubectl("patch", "deploy", "web", "--type=json", "-p", operations)
    assert "paused" not in kubectl.json("get", "deploy", "web")["spec"]
    refused = kubectl("patch", "deploy", "web", "--type=json", "-p", operations, code=1)
    assert "the server rejected our request" in refused or "testing" in refused
    kubectl(
        "patch",
        "deploy",
        "web",
        "--subresource=status",
        "--type=merge",
        "-p",
        '{"status":{"replicas":2,"readyReplicas":2}}',
    )
    assert kubectl("label", "deploy", "web", "tier=front") == "deployment.apps/web labeled\n"
    assert "already has a value" in kubectl("label", "deploy", "web", "tier=back", code=1)
    kubectl("label", "deploy", "web", "tier-")
    kubectl("annotate", "deploy", "web", "note=here")
    kubectl("set", "image", "deploy/web", "web=nginx:9")
    kubectl("set", "env", "deploy/web", "COLOR=blue")
    web = kubectl.json("get", "deploy", "web")
    assert web["metadata"]["labels"] == {"app": "web"}
    assert web["metadata"]["annotations"]["note"] == "here"
    assert web["spec"]["template"]["spec"]["containers"][1]["image"] == "nginx:9"
    assert web["status"]["readyReplicas"] == 2


def test_scale(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=2")
    assert kubectl("scale", "deployment/web", "--replicas=4") == "deployment.apps/web scaled\n"
    kubectl("scale", "deployment/web", "--current-replicas=3", "--replicas=1", code=1)
    assert kubectl.json("get", "deploy", "web")["spec"]["replicas"] == 4
    kubectl("autoscale", "deployment", "web", "--max=9")
    assert kubectl.json("get", "hpa", "web")["spec"]["maxReplicas"] == 9


def test_wait_and_watch(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "one", "--from-literal=n=0")
    watching = subprocess.Popen(
        kubectl.command("get", "configmaps", "-w", "--output-watch-events", "--no-headers"),
        env=kubectl.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    waiting = subprocess.Popen(
        kubectl.command("wait", "configmap/one", "--for=jsonpath={.data.n}=1", "--timeout=90s"),
        env=kubectl.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert watching.stdout is not None
        lines = [watching.stdout.readline().split()[:2]]
        while lines[-1] != ["ADDED", "one"]:
            assert lines[-1], "the watch ended"
            lines.append(watching.stdout.readline().split()[:2])
        kubectl("patch", "configmap", "one", "-p", '{"data":{"n":"1"}}')
        assert waiting.communicate(timeout=120)[0] == "configmap/one condition met\n"
        kubectl("delete", "configmap", "one")
        while lines[-1] != ["DELETED", "one"]:
            assert lines[-1], "the watch ended"
            lines.append(watching.stdout.readline().split()[:2])
        of_one = [line[0] for line in lines if line[1] == "one"]
        assert of_one == ["ADDED", "MODIFIED", "DELETED"]
    finally:
        watching.kill()
        waiting.kill()
    kubectl("wait", "configmap/one", "--for=delete", "--timeout=90s")


def test_tables_selectors_and_formats(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT + "---\n" + POLICY)
    lines = kubectl("get", "deployments").splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split()[:4] == ["web", "0/2", "0", "0"]
    wide = kubectl("get", "deploy", "-o", "wide").splitlines()
    assert wide[0].split()[-3:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1].split()[-3:] == ["web", "nginx:1", "app=web"]
    assert kubectl("get", "deploy", "-l", "app=web", "-o", "name") == "deployment.apps/web\n"
    assert "No resources found" in kubectl("get", "deploy", "-l", "app!=web")
    assert kubectl("get", "deploy", "--field-selector=metadata.name=web", "--no-headers").split()[0] == "web"
    assert kubectl("get", "deploy,pp", "-o", "jsonpath={.items[*].kind}") == "Deployment PropagationPolicy"
    assert kubectl("get", "pods") == f"No resources found in {kubectl.namespace} namespace.\n"
    assert kubectl("get", "deploy", "nothing", code=1) == (
        'Error from server (NotFound): deployments.apps "nothing" not found\n'
    )
    assert "Replicas:" in kubectl("describe", "deployment", "web")
    assert "Cluster Names:" in kubectl("describe", "pp", "web")


def test_replace_edit_and_delete(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    assert "AlreadyExists" in kubectl("create", "-f", "-", stdin=DEPLOYMENT, code=1)
    kubectl("replace", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 7"))
    assert kubectl.json("get", "deploy", "web")["spec"]["replicas"] == 7
    kubectl.environment["KUBE_EDITOR"] = "sed -i s/nginx:1/nginx:edited/"
    kubectl("edit", "deployment", "web")
    assert "nginx:edited" in kubectl("get", "deploy", "web", "-o", "yaml")
    kubectl("create", "secret", "generic", "hidden", "--from-literal=a=b")
    kubectl("create", "service", "clusterip", "front", "--tcp=80")
    address = kubectl.json("get", "service", "front")["spec"]["clusterIP"]
    assert address.startswith("10.")
    kubectl("delete", "deploy,svc,secret", "--all")
    assert "No resources found" in kubectl("get", "deploy,svc,secret")
    kubectl("delete", "namespace", kubectl.namespace, "--timeout=90s")
    assert "NotFound" in kubectl("get", "namespace", kubectl.namespace, code=1)


def test_tokens_identity_and_events(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot").strip()
    assert token.count(".") == 2
    assert "system:masters" in kubectl("auth", "whoami")
    assert kubectl("auth", "can-i", "create", "deployments") == "yes\n"
    assert "No events found" in kubectl("events") or "No resources found" in kubectl("events")


def test_other_users_get_403_and_bad_tokens_401(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot").strip()
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = {"token": token}
    file = Path(kubectl.environment["HOME"]) / "robot"
    file.write_text(json.dumps(config))
    refused = kubectl("--kubeconfig", str(file), "get", "pods", code=1)
    assert f'User "system:serviceaccount:{kubectl.namespace}:robot" cannot list resource "pods"' in refused
    config["users"][0]["user"] = {"token": token + "x"}
    file.write_text(json.dumps(config))
    assert "Unauthorized" in kubectl("--kubeconfig", str(file), "get", "pods", code=1)


def test_a_namespace_that_ends_takes_no_more(kubectl: Kubectl) -> None:
    held = json.dumps({"metadata": {"finalizers": ["example.org/hold"]}})
    kubectl("create", "configmap", "held")
    kubectl("patch", "configmap", "held", "--type=merge", "-p", held)
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")
    refused = kubectl("create", "configmap", "late", code=1)
    assert f"unable to create new content in namespace {kubectl.namespace} because it is being terminated" in refused
    kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", f"namespace/{kubectl.namespace}", "--for=delete", "--timeout=90s")


ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NAMESPACE}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}
"""


def test_what_somebody_may_do(kubectl: Kubectl) -> None:
    manifest = ROLE.replace("NAMESPACE", kubectl.namespace)
    done = kubectl("auth", "reconcile", "-f", "-", stdin=manifest)
    assert "role.rbac.authorization.k8s.io/reader reconciled" in done
    assert "rolebinding.rbac.authorization.k8s.io/readers reconciled" in done
    assert kubectl("auth", "can-i", "list", "configmaps", "--as", "ann") == "yes\n"
    assert kubectl("auth", "can-i", "delete", "configmaps", "--as", "ann", code=1) == "no\n"
    listed = {tuple(line.split()) for line in kubectl("auth", "can-i", "--list", "--as", "ann").splitlines()}
    assert ("configmaps", "[]", "[]", "[get", "list]") in listed
    assert ("selfsubjectaccessreviews.authorization.k8s.io", "[]", "[]", "[create]") in listed
    assert ("[/healthz]", "[]", "[get]") in listed
    everything = kubectl("auth", "can-i", "--list")
    assert "*.*" in everything
    more = manifest.replace("verbs: [get, list]", "verbs: [watch]").replace("name: ann", "name: bob")
    kubectl("auth", "reconcile", "-f", "-", stdin=more)
    assert kubectl("auth", "can-i", "list", "configmaps", "--as", "ann") == "yes\n", "nothing is taken away"
    assert kubectl("auth", "can-i", "watch", "configmaps", "--as", "bob") == "yes\n"
    kubectl("auth", "reconcile", "--remove-extra-permissions", "--remove-extra-subjects", "-f", "-", stdin=more)
    assert kubectl("auth", "can-i", "list", "configmaps", "--as", "bob", code=1) == "no\n"
    assert kubectl("auth", "can-i", "watch", "configmaps", "--as", "ann", code=1) == "no\n"
    assert "clusterrole.rbac.authorization.k8s.io/x created" in kubectl(
        "create", "clusterrole", "x", "--verb=get", "--resource=pods", "--dry-run=server"
    ).replace(" (server dry run)", "")
