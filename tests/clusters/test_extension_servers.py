"""Karmada's own extension servers behind kafila, unmodified; and kafila itself behind a real kube-apiserver."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cluster_federation import Federation, deployment, policy
from cluster_harness import (
    LOOPBACK,
    ControlPlane,
    Etcd,
    Member,
    Options,
    Process,
    built,
    free_ports,
    kubectl,
    wait_until,
)
from cluster_metrics import metrics_of

from kafila.identity.certificates import issue, new_authority

METRICS = ("metrics.k8s.io/v1beta1", "custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1")
SEARCH = "search.karmada.io/v1alpha1"


def registration(api_version: str, name: str, namespace: str, port: int, **spec: Any) -> list[dict[str, Any]]:
    """The Service and APIService with which a server on this machine gets a group."""
    group, version = api_version.split("/")
    service = {"type": "ExternalName", "externalName": "localhost"}
    reference = {"namespace": namespace, "name": name, "port": port}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": service},
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": reference,
                **({"insecureSkipTLSVerify": True} | spec),
            },
        },
    ]


def refusal(kubectl: Any, *arguments: str) -> str:
    with pytest.raises(RuntimeError) as refused:
        kubectl(*arguments)
    return str(refused.value)


def apply(kubectl: Any, *objects: dict[str, Any]) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


class Extended:
    """A control plane, and an extension server of Karmada's as it starts it."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.plane = ControlPlane(folder / "kafila", root / "bin")
        self.etcd = Etcd(root, folder)

    def server(self, program: str, port: int, *flags: str) -> Process:
        name = f"kubeconfig={self.plane.kubeconfig}"
        home = self.folder / program
        home.mkdir()
        command = [self.root / "bin" / program, f"--{name}", f"--authentication-{name}", f"--authorization-{name}"]
        command += [f"--secure-port={port}", f"--bind-address={LOOPBACK}", f"--cert-dir={home}", "--profiling=false"]
        return Process(program, [*command, *flags], home / "log", {"HOME": str(home)})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kafila-extensions-") as name:
        Path(name).chmod(0o711)  # as root PostgreSQL is another user, who passes through
        yield Path(name)


@pytest.fixture(scope="module")
def extended(folder: Path) -> Iterator[Extended]:
    found = Extended(built(), folder)
    try:
        found.plane.start()
        found.etcd.start()
        yield found
    finally:
        found.plane.stop()
        found.etcd.process.stop()


def test_karmadas_metrics_adapter(extended: Extended) -> None:
    plane = extended.plane
    port, metrics = free_ports(2)
    adapter = extended.server("metrics-adapter", port, f"--metrics-bind-address={LOOPBACK}:{metrics}")
    adapter.start()
    try:
        for api_version in METRICS:
            apply(plane.kubectl, *registration(api_version, "metrics-adapter", "karmada-system", port))
        names = [f"apiservice/{v}.{g}" for g, v in (api_version.split("/") for api_version in METRICS)]
        plane.kubectl("wait", *names, "--for=condition=Available", "--timeout=120s")
        wait_until("discovery", lambda: "PodMetrics" in plane.kubectl("api-resources"), plane.process)
        assert json.loads(plane.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))["items"] == []
        for api_version in METRICS[1:]:
            assert json.loads(plane.kubectl("get", "--raw", f"/apis/{api_version}"))["kind"] == "APIResourceList"
        # also in OpenAPI v2, which kubectl reads as protobuf
        old = (
            "explain",
            "podmetrics.timestamp",
            "--output=plaintext-openapiv2",
            "--api-version=metrics.k8s.io/v1beta1",
        )
        wait_until("OpenAPI v2", lambda: "PodMetrics" in plane.kubectl(*old, check=False), plane.process)
        assert "<Deployment>" not in plane.kubectl("explain", "deployment.spec", "--output=plaintext-openapiv2")
        # it asks the control plane whether the caller may
        refused = refusal(plane.kubectl, "get", "podmetrics", "-A", "--as=eve")
        assert 'User "eve" cannot list resource "pods" in API group "metrics.k8s.io"' in refused
        adapter.stop()
        gone = refusal(plane.kubectl, "get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
        assert "the server is currently unable to handle the request" in gone or "error trying to reach service" in gone
        plane.kubectl("wait", names[0], "--for=condition=Available=False", "--timeout=120s")
        assert "FailedDiscoveryCheck" in plane.kubectl("get", "apiservices")
        assert "deployments" in plane.kubectl("api-resources", check=False)
        adapter.start()
        plane.kubectl("wait", names[0], "--for=condition=Available", "--timeout=120s")
        assert json.loads(plane.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))["items"] == []
    finally:
        adapter.stop()


POD_METRICS, CUSTOM = f"/apis/{METRICS[0]}/namespaces/default/pods", "/apis/custom.metrics.k8s.io"
AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def asked_of_both(pod: str, node: str) -> list[tuple[str, str]]:
    """Paths, each with what is accepted."""
    root = f"/apis/{METRICS[0]}"
    usage = [root, f"{root}/nodes", f"{root}/nodes/{node}", f"{root}/nodes/nope", f"{root}/nodes?labelSelector=no"]
    usage += [f"{root}/pods?labelSelector=app%3Dmeasured", f"{POD_METRICS}/{pod}", f"{POD_METRICS}/nope"]
    usage += [f"{root}/namespaces/nope/pods", f"{root}/things", f"{root}/pods?watch=true"]
    usage += [f"{root}/pods?labelSelector=%3D%3D", f"{root}/pods?fieldSelector=spec.x%3Dy"]
    custom = [f"{CUSTOM}/v1beta1", f"{CUSTOM}/v1beta2", f"{CUSTOM}/v1beta2/namespaces/default/pods"]
    custom += [f"{CUSTOM}/{version}/namespaces/default/pods/{pod}/requests" for version in ("v1beta1", "v1beta2")]
    custom += [
        f"{CUSTOM}/v1beta2/namespaces/default/pods/*/{name}?labelSelector=app%3Dmeasured"
        for name in ("requests", "nope")
    ]
    custom += [f"{CUSTOM}/v1beta2/namespaces/default/metrics/nope"]
    tables = [(path, AS_TABLE) for path in usage[1:4] + usage[5:8]]
    return [*((path, "application/json") for path in [*usage, *custom]), *tables]


def test_metrics_of_members_as_karmadas_adapter_answers_them(
    federation: Federation, member1: Member, folder: Path, tmp_path: Path
) -> None:
    """By kafila itself, and then by the unmodified adapter behind APIServices, of the same members."""
    lab, home = federation.lab, tmp_path
    federation.apply(deployment("measured"), policy("measured", clusters=("member1",)))
    names = ("get", "pods", "-l", "app=measured", "-o", "jsonpath={.items[*].metadata.name}")
    federation.eventually("there are pods", lambda: len(member1.kubectl(*names).split()) == 2)
    asked = asked_of_both(member1.kubectl(*names).split()[0], "member1-node-1")
    ask = Asking(federation.kubeconfig, home)
    port, metrics = free_ports(2)
    config = f"kubeconfig={federation.kubeconfig}"
    flags = [f"--{config}", f"--authentication-{config}", f"--authorization-{config}", f"--secure-port={port}"]
    flags += [f"--bind-address={LOOPBACK}", f"--metrics-bind-address={LOOPBACK}:{metrics}", f"--cert-dir={home}"]
    adapter = Process("metrics-adapter", [lab.bin / "metrics-adapter", *flags], home / "log", {"HOME": str(home)})
    versions = (METRICS[0], "custom.metrics.k8s.io/v1beta1", *METRICS[1:])
    registrations = [each for version in versions for each in registration(version, "adapter", "karmada-system", port)]
    try:
        with metrics_of(member1, "custom.metrics.k8s.io/v1beta1"):
            ours = {question: ask(*question) for question in asked}
            assert (
                len(ours[f"/apis/{METRICS[0]}/pods?labelSelector=app%3Dmeasured", "application/json"][1]["items"]) == 2
            )
            shown = federation.kubectl("top", "pods", "-l", "app=measured")
            assert shown.split()[4:6] == ["25m", "16Mi"]
            table = [line.split() for line in federation.kafila("top", "nodes", "--cluster=member1").splitlines()]
            assert ["member1-node-1", "member1", "640m", "1%", "1024Mi", "0%"] in table
            adapter.start()
            apply(federation.kubectl, *registrations)
            services = [each["metadata"]["name"] for each in registrations if each["kind"] == "APIService"]
            federation.kubectl("wait", "apiservice", *services, "--for=condition=Available", "--timeout=120s")
            federation.eventually("it knows the members", lambda: len(ask(POD_METRICS)[1].get("items", ())) >= 2)
            requests = f"{CUSTOM}/v1beta1"
            federation.eventually(
                "and what is measured there", lambda: ask(requests) == ours[requests, "application/json"]
            )
            theirs = {question: ask(*question) for question in asked}
            different = {
                question: (ours[question], theirs[question]) for question in asked if ours[question] != theirs[question]
            }
            assert different == {}
            # what has no answer there is added up here
            assert ask("/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue")[0] == 500
            adapter.stop()
            assert ask(POD_METRICS)[0] == 503
    finally:
        for service in registrations:
            federation.kubectl(
                "delete", service["kind"], service["metadata"]["name"], "-n", "karmada-system", check=False
            )
        federation.kubectl("delete", "deployment/measured", "propagationpolicy/measured", check=False)
        adapter.stop()
    missing = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue"
    federation.eventually("kafila answers again", lambda: ask(missing)[0] == 404)


class Asking:
    """GETs with the client certificate of a kubeconfig: status and JSON (or text). Metrics of several objects, which Karmada's adapter
    has in a map, are sorted."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        user = config["users"][0]["user"]
        pair = folder / "client.pem"
        pair.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(pair)
        self._client = httpx.Client(base_url=config["clusters"][0]["cluster"]["server"], verify=context)

    def __call__(self, path: str, accept: str = "application/json") -> tuple[int, Any]:
        answer = self._client.get(path, headers={"accept": accept}, timeout=60)
        try:
            body = answer.json()
        except ValueError:
            return answer.status_code, answer.text
        if body["kind"] == "MetricValueList":
            body["items"].sort(key=lambda item: item["describedObject"]["name"])
        return answer.status_code, body


def test_karmadas_search(extended: Extended) -> None:
    """It takes over from what is stored here: ResourceRegistries are its own."""
    plane = extended.plane
    (port,) = free_ports(1)
    search = extended.server("karmada-search", port, f"--etcd-servers={extended.etcd.url}")
    search.start()
    try:
        apply(plane.kubectl, *registration(SEARCH, "karmada-search", "karmada-system", port))
        plane.kubectl("wait", "apiservice/v1alpha1.search.karmada.io", "--for=condition=Available", "--timeout=120s")
        registry = {
            "apiVersion": SEARCH,
            "kind": "ResourceRegistry",
            "metadata": {"name": "pods"},
            "spec": {
                "targetCluster": {},
                "resourceSelectors": [{"apiVersion": "v1", "kind": "Pod"}],
            },
        }
        plane.kubectl("create", "-f", "-", stdin=json.dumps(registry))
        assert "pods" in plane.kubectl("get", "resourceregistries")
        assert "targetCluster" in plane.kubectl("explain", "resourceregistries.spec")
        watched = plane.kubectl("get", "resourceregistries", "-w", "--request-timeout=3s", check=False)
        assert "pods" in watched
        found = json.loads(plane.kubectl("get", "--raw", f"/apis/{SEARCH}/search/cache/api/v1/pods"))
        assert found["kind"] == "PodList"
        proxied = plane.kubectl("get", "--raw", f"/apis/{SEARCH}/proxying/karmada/proxy/api/v1/namespaces/default")
        assert json.loads(proxied)["metadata"]["name"] == "default"
        plane.kubectl("delete", "apiservice", "v1alpha1.search.karmada.io")
        assert "pods" not in plane.kubectl("get", "resourceregistries", check=False)
    finally:
        search.stop()


HOSTED = ("policy.karmada.io/v1alpha1", "work.karmada.io/v1alpha2", "cluster.karmada.io/v1alpha1")


def test_kafila_behind_a_kube_apiserver(folder: Path) -> None:
    """Who asks, and what he may do, is the host's to say: its front proxy, its TokenReviews and SubjectAccessReviews."""
    root, folder = built(), folder / "hosted"
    folder.mkdir(mode=0o711)
    front = new_authority("front-proxy-ca")
    client = issue(front, "front-proxy-client")
    for name, data in (
        ("front.crt", front.certificate),
        ("client.crt", client.certificate),
        ("client.key", client.key),
    ):
        (folder / name).write_bytes(data)
    etcd = Etcd(root, folder)
    host = Host(root, folder, etcd)
    reviews = {"authentication": "tokenreviews", "authorization": "subjectaccessreviews"}
    flags = [
        "--authorization-mode=Webhook",
        f"--authorization-webhook-config-file={folder}/authorization.yaml",
        f"--authentication-token-webhook-config-file={folder}/authentication.yaml",
        "--authentication-token-webhook-version=v1",
        "--api-audiences=https://kubernetes.default.svc",  # of the host: its tokens are for it
        f"--requestheader-client-ca-file={folder}/front.crt",
        "--requestheader-allowed-names=front-proxy-client",
    ]
    plane = ControlPlane(folder / "kafila", root / "bin", *flags)
    try:
        etcd.start()
        host.launch()
        host.wait_ready()
        for group, resource in reviews.items():
            text = host.kubeconfig.read_text().replace(
                host.endpoint, f"{host.endpoint}/apis/{group}.k8s.io/v1/{resource}"
            )
            (folder / f"{group}.yaml").write_text(text)
        plane.start()
        host.kubectl("create", "namespace", "karmada-system")
        for api_version in HOSTED:
            apply(host.kubectl, *registration(api_version, "kafila", "karmada-system", plane.port))
        names = [f"apiservice/{v}.{g}" for g, v in (api_version.split("/") for api_version in HOSTED)]
        host.kubectl("wait", *names, "--for=condition=Available", "--timeout=120s")
        policy = {
            "apiVersion": HOSTED[0],
            "kind": "PropagationPolicy",
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"resourceSelectors": [{"apiVersion": "apps/v1", "kind": "Deployment"}], "placement": {}},
        }
        wait_until("discovery", lambda: "propagationpolicies" in host.kubectl("api-resources"), host.apiserver)
        host.kubectl("create", "-f", "-", stdin=json.dumps(policy))
        assert "p" in host.kubectl("get", "propagationpolicies")
        assert (
            plane.kubectl("get", "propagationpolicies", "-o", "name").strip() == "propagationpolicy.policy.karmada.io/p"
        )
        assert "resourceSelectors" in host.kubectl("explain", "propagationpolicies.spec")
        refused = refusal(host.kubectl, "get", "propagationpolicies", "--as=ann")
        assert 'User "ann" cannot list resource "propagationpolicies"' in refused
        host.kubectl("create", "role", "reader", "--verb=list", "--resource=propagationpolicies.policy.karmada.io")
        host.kubectl("create", "rolebinding", "ann", "--role=reader", "--user=ann")
        wait_until(
            "the right", lambda: "p" in host.kubectl("get", "propagationpolicies", "--as=ann", check=False).split()
        )
        # a token of the host's, shown to kafila itself: the host says whose it is, and what he may do
        host.kubectl("create", "serviceaccount", "robot")
        token = host.kubectl("create", "token", "robot").strip()
        mine = ("--token", token, f"--server=https://{LOOPBACK}:{plane.port}", "--insecure-skip-tls-verify")
        empty = folder / "empty"
        empty.write_text("")
        refused = refusal(kubectl, root / "bin/kubectl", empty, "get", "propagationpolicies", *mine)
        assert 'User "system:serviceaccount:default:robot" cannot list resource "propagationpolicies"' in refused
        host.kubectl("create", "rolebinding", "robot", "--role=reader", "--serviceaccount=default:robot")
        wait_until(
            "the account's right",
            lambda: (
                "p" in kubectl(root / "bin/kubectl", empty, "get", "propagationpolicies", *mine, check=False).split()
            ),
        )
    finally:
        plane.stop()
        host.stop()
        etcd.process.stop()


class Host(Member):
    """A kube-apiserver with an aggregation layer, and nothing else."""

    def __init__(self, root: Path, folder: Path, etcd: Etcd) -> None:
        self._front = folder
        super().__init__("host", root, folder / "host", etcd, Options())

    @property
    def processes(self) -> list[Process]:
        return [self.apiserver]

    def _apiserver_flags(self, etcd: Etcd) -> list[str]:
        return [
            *super()._apiserver_flags(etcd),
            f"--proxy-client-cert-file={self._front}/client.crt",
            f"--proxy-client-key-file={self._front}/client.key",
            f"--requestheader-client-ca-file={self._front}/front.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-uid-headers=X-Remote-Uid",
        ]


@pytest.mark.long
def test_streams_through_karmadas_search(federation: Federation, member1: Member, folder: Path) -> None:
    """kubectl's streams, over both of its protocols, to an extension server and on through it to a member."""
    lab, home = federation.lab, folder / "streams"
    home.mkdir(mode=0o711)
    assert lab.etcd is not None
    federation.apply(deployment("streamed"), policy("streamed", clusters=("member1",)))
    pods = ("get", "pods", "-l", "app=streamed", "-o", "jsonpath={.items[*].metadata.name}")
    phases = ("get", "pods", "-l", "app=streamed", "-o", "jsonpath={.items[*].status.phase}")
    federation.eventually("pods run", lambda: member1.kubectl(*phases).split() == ["Running"] * 2)
    (port,) = free_ports(1)
    name = f"kubeconfig={federation.kubeconfig}"
    flags = [f"--{name}", f"--authentication-{name}", f"--authorization-{name}", f"--secure-port={port}"]
    flags += [f"--bind-address={LOOPBACK}", f"--cert-dir={home}", f"--etcd-servers={lab.etcd.url}"]
    flags += ["--etcd-prefix=/streams", "--profiling=false"]
    search = Process("karmada-search", [lab.bin / "karmada-search", *flags], home / "log", {"HOME": str(home)})
    search.start()
    try:
        apply(federation.kubectl, *registration(SEARCH, "karmada-search", "karmada-system", port))
        federation.kubectl(
            "wait", "apiservice/v1alpha1.search.karmada.io", "--for=condition=Available", "--timeout=60s"
        )
        selectors = [{"apiVersion": "v1", "kind": "Pod"}]
        spec = {"targetCluster": {"clusterNames": ["member1"]}, "resourceSelectors": selectors}
        registry = {"apiVersion": SEARCH, "kind": "ResourceRegistry", "metadata": {"name": "streamed"}, "spec": spec}
        apply(federation.kubectl, registry)
        config = yaml.safe_load(federation.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] += f"/apis/{SEARCH}/proxying/karmada/proxy"
        (home / "kubeconfig").write_text(yaml.safe_dump(config))
        through = [str(lab.bin / "kubectl"), f"--kubeconfig={home}/kubeconfig"]

        def found() -> list[str]:
            return kubectl(lab.bin / "kubectl", home / "kubeconfig", *pods, check=False).split()

        federation.eventually("karmada-search knows them", lambda: len(found()) == 2)
        much = "begun\n" * 100_000
        for websockets in ("true", "false"):
            environment = {**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": websockets}
            command = [*through, "exec", "-i", found()[0], "--", "sh", "-c", "cat; echo end; exit 7"]
            done = subprocess.run(command, input=much, capture_output=True, text=True, timeout=60, env=environment)
            assert (done.stdout, done.returncode) == (f"{much}end\n", 7), done.stderr
        with subprocess.Popen([*through, "exec", "-i", found()[0], "--", "cat"], stdin=subprocess.PIPE) as held:
            federation.eventually("the stream is open", lambda: upgraded(federation) >= 1)
            search.stop(signal.SIGKILL)
            assert held.wait(60) != 0
        federation.eventually("none is left", lambda: upgraded(federation) == 0)
    finally:
        federation.kubectl("delete", "apiservice", "v1alpha1.search.karmada.io", check=False)
        federation.kubectl("delete", "deployment/streamed", "propagationpolicy/streamed", check=False)
        search.stop()


def upgraded(federation: Federation) -> float:
    lines = federation.kubectl("get", "--raw", "/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("kafila_upgraded_connections "))
