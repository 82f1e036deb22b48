"""deploy/chart: what Helm renders of it is right, an unmodified kube-apiserver takes it, and its processes run as it says."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_harness import LOOPBACK, Member, free_ports, kubectl, wait_until
from cluster_pods import Pod, by_port

from hack import chart
from kafila import __version__
from kafila.cli import program
from kafila.identity.certificates import issue, new_authority

_numbers = itertools.count(1)
HELMS = ("4.2.4", "3.21.4")
DATABASE = "database.existingSecret.name=db"
VALUES = {
    "least": (DATABASE,),
    "cloud-native-pg": ("database.cloudNativePG.enabled=true",),
    "one of all": (
        DATABASE,
        "api.autoscaling.enabled=false",
        "api.replicas=1",
        "workers.replicas=1",
        "api.podDisruptionBudget.enabled=false",
        "workers.podDisruptionBudget.enabled=false",
        "networkPolicy.enabled=false",
        "migration.enabled=false",
        "updateStrategy=RollingUpdate",
    ),
    "all": (
        DATABASE,
        "image.digest=sha256:" + "0" * 64,
        "imagePullSecrets[0].name=pull",
        "api.advertise=[fd00::1]:6443",
        "api.certExtraSANs={kafila.example.org,192.0.2.1}",
        "api.extraArgs={--audit-log-path=-}",
        "api.service.type=LoadBalancer",
        "api.service.annotations.example\\.org/a=b",
        "api.podLabels.a=b",
        "api.nodeSelector.disk=fast",
        "api.tolerations[0].operator=Exists",
        "api.priorityClassName=system-cluster-critical",
        "workers.featureGates=Failover=true",
        "encryption.existingSecret.name=encryption",
        "tls.certManager.enabled=true",
        "tls.certManager.issuerRef.name=issuer",
        "metrics.serviceMonitor.enabled=true",
        "metrics.prometheusRule.enabled=true",
        "metrics.prometheusRule.labels.release=prometheus",
        "metrics.dashboard.enabled=true",
        "networkPolicy.apiFrom[0].ipBlock.cidr=192.0.2.0/24",
        "migration.run=again",
    ),
}
AGENT = (
    "controlPlane.enabled=false",
    "agent.enabled=true",
    "agent.clusterName=member1",
)
KARMADA_AGENT = (*AGENT, "agent.karmadaAgentImage=docker.io/karmada/karmada-agent:v1.18.2")
AT_REST = chart.ROOT / "examples" / "encryption" / "configuration.yaml"
OF_OTHERS = {"monitoring.coreos.com/v1", "cert-manager.io/v1", "postgresql.cnpg.io/v1"}
WRONG = [
    ((), "database.existingSecret.name: name a Secret with the URL of a PostgreSQL"),
    ((DATABASE, "database.cloudNativePG.enabled=true"), "values don't meet the specifications of the schema"),
    ((DATABASE, "api.replica=2"), "additional properties 'replica' not allowed"),
    ((DATABASE, "api.replicas=0"), "/api/replicas"),
    ((DATABASE, "api.extraArgs={audit}"), "/api/extraArgs/0"),
    ((DATABASE, "api.advertise=https://kafila"), "/api/advertise"),
    ((DATABASE, "image.digest=sha256:1"), "/image/digest"),
    ((DATABASE, "tls.certManager.enabled=true"), "tls.certManager.issuerRef.name: name the issuer"),
    ((DATABASE, "tls.certManager.enabled=true", "tls.existingSecret=x"), "specifications of the schema"),
    ((*AGENT, "agent.clusterName="), "agent.clusterName: name this cluster"),
    ((*AGENT, "agent.clusterName=A"), "/agent/clusterName"),
    ((*AGENT, "agent.kubeconfigSecret.name="), "agent.kubeconfigSecret.name: name a Secret with a kubeconfig"),
    ((*AGENT, "agent.token=abcdef.0123456789abcdef"), "additional properties 'token' not allowed"),
    ((DATABASE, "updateStrategy=Rolling"), "/updateStrategy"),
]


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest, programs: Path) -> Path:
    return programs / f"helm-{request.param}"


def run(program: Path, *arguments: Any, member: Member | None = None) -> subprocess.CompletedProcess[str]:
    more = ["--kubeconfig", member.kubeconfig] if member is not None else []
    return subprocess.run([program, *arguments, *more], capture_output=True, text=True, timeout=120)


def done(program: Path, *arguments: Any, member: Member | None = None) -> str:
    ran = run(program, *arguments, member=member)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


# -- what is rendered ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [*VALUES.values(), AGENT, KARMADA_AGENT], ids=[*VALUES, "agent", "karmada-agent"])
def test_helm_finds_nothing_to_complain_of(helm: Path, values: tuple[str, ...]) -> None:
    said = done(helm, "lint", "--strict", chart.CHART, *(f"--set={value}" for value in values))
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize(("values", "why"), WRONG, ids=[why for _, why in WRONG])
def test_wrong_values_are_refused(helm: Path, values: tuple[str, ...], why: str) -> None:
    with pytest.raises(RuntimeError) as refused:
        chart.render(helm, *values)
    assert why in str(refused.value)


@pytest.mark.parametrize("values", [*VALUES.values(), AGENT, KARMADA_AGENT], ids=[*VALUES, "agent", "karmada-agent"])
def test_a_kube_apiserver_takes_every_object(values: tuple[str, ...], programs: Path, member1: Member) -> None:
    """Whichever Helm has rendered them."""
    rendered = chart.render(programs / f"helm-{HELMS[0]}", *values, namespace="default")
    assert rendered == chart.render(programs / f"helm-{HELMS[1]}", *values, namespace="default")
    objects = [each for each in rendered if each["apiVersion"] not in OF_OTHERS]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    arguments = ("apply", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
    assert len(member1.kubectl(*arguments, stdin=document).split()) == len(objects)


def test_the_examples(programs: Path, member1: Member) -> None:
    helm = programs / chart.HELM
    examples = chart.ROOT / "deploy" / "examples"
    rendered = chart.render(helm, file=examples / "production.yaml", namespace="default")
    assert {"Certificate", "ServiceMonitor", "PrometheusRule"} <= {each["kind"] for each in rendered}
    objects = [each for each in rendered if each["apiVersion"] not in OF_OTHERS]
    objects += yaml.safe_load_all((examples / "postgres.yaml").read_text())
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    member1.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=document)


def pods_of(objects: list[Any]) -> Iterator[Any]:
    return (each["spec"]["template"]["spec"] for each in objects if each["kind"] in ("Deployment", "Job"))


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_no_process_has_rights_that_it_does_not_need(programs: Path, values: tuple[str, ...]) -> None:
    objects = chart.render(programs / chart.HELM, *values, namespace="default")
    for pod in pods_of(objects):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert not any("postgresql://" in text for text in [*container["args"], json.dumps(container["env"])])
    assert "kind: ClusterRole" not in yaml.safe_dump_all(objects)
    rules = [rule for each in objects if each["kind"] == "Role" for rule in each["rules"]]
    assert [(rule["resources"], rule["verbs"], len(rule["resourceNames"])) for rule in rules] in (
        [],
        [(["secrets"], ["patch"], 2)],
    )


def test_the_job_has_what_the_api_has_in_addition(programs: Path) -> None:
    """A URL of the database may name a certificate that is mounted."""
    values = (
        DATABASE,
        "api.extraEnv[0].name=PGSSLROOTCERT,api.extraEnv[0].value=/ca/ca.crt",
        "api.extraVolumes[0].name=ca,api.extraVolumes[0].secret.secretName=ca",
        "api.extraVolumeMounts[0].name=ca,api.extraVolumeMounts[0].mountPath=/ca",
    )
    objects = chart.render(programs / chart.HELM, *values)
    pods = {pod["containers"][0]["name"]: pod for pod in pods_of(objects)}
    for name, count in (("api", 1), ("migrate", 1), ("workers", 0)):
        (container,) = pods[name]["containers"]
        assert container["env"].count({"name": "PGSSLROOTCERT", "value": "/ca/ca.crt"}) == count
        assert container["volumeMounts"].count({"name": "ca", "mountPath": "/ca"}) == count
        assert pods[name]["volumes"].count({"name": "ca", "secret": {"secretName": "ca"}}) == count


def of_kind(objects: list[Any], kind: str) -> dict[str, Any]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def selected(objects: list[Any], labels: dict[str, str]) -> list[Any]:
    """Pod templates with these labels."""
    templates = [each["spec"]["template"] for each in objects if each["kind"] in ("Deployment", "Job")]
    return [each for each in templates if labels.items() <= each["metadata"]["labels"].items()]


def test_what_selects_pods_selects_those_that_it_means(helm: Path) -> None:
    """Ports by name, too."""
    objects = chart.render(helm, *VALUES["all"])
    for name, deployment in of_kind(objects, "Deployment").items():
        (own,) = selected(objects, deployment["spec"]["selector"]["matchLabels"])
        assert own is deployment["spec"]["template"]
        (budget,) = (o for n, o in of_kind(objects, "PodDisruptionBudget").items() if n == name)
        assert selected(objects, budget["spec"]["selector"]["matchLabels"]) == [own]
        (spread,) = own["spec"]["topologySpreadConstraints"]
        assert selected(objects, spread["labelSelector"]["matchLabels"]) == [own]
    for service in of_kind(objects, "Service").values():
        (template,) = selected(objects, service["spec"]["selector"])
        names = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    policies = of_kind(objects, "NetworkPolicy")
    assert len(policies) == 3
    for policy in policies.values():
        assert len(selected(objects, policy["spec"]["podSelector"]["matchLabels"])) == 1
    (scaling,) = of_kind(objects, "HorizontalPodAutoscaler").values()
    assert "replicas" not in of_kind(objects, "Deployment")[scaling["spec"]["scaleTargetRef"]["name"]]["spec"]


def test_objects_of_other_operators_lead_to_ours(helm: Path) -> None:
    objects = chart.render(helm, *VALUES["all"])
    (monitor,) = of_kind(objects, "ServiceMonitor").values()
    services = of_kind(objects, "Service").values()
    selector = monitor["spec"]["selector"]["matchLabels"]
    (endpoint,) = monitor["spec"]["endpoints"]
    for service in services:
        assert selector.items() <= service["metadata"]["labels"].items()
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    tls, secrets = endpoint["tlsConfig"], of_kind(objects, "Secret")
    for reference in (tls["ca"]["secret"], tls["cert"]["secret"], tls["keySecret"]):
        assert reference["name"] in secrets
    (rules,) = of_kind(objects, "PrometheusRule").values()
    assert rules["spec"] == yaml.safe_load((chart.CHART / "files" / "rules.yaml").read_text())
    dashboard = of_kind(objects, "ConfigMap")["kafila-dashboard"]
    assert json.loads(dashboard["data"]["kafila.json"]) == json.loads(
        (chart.CHART / "files" / "dashboard.json").read_text()
    )
    (certificate,) = (each["spec"] for each in of_kind(objects, "Certificate").values())
    assert {"kafila.karmada-system.svc", "kafila.example.org"} <= set(certificate["dnsNames"])
    assert certificate["ipAddresses"] == ["192.0.2.1", "fd00::1"]
    volumes = [volume for pod in pods_of(objects) for volume in pod["volumes"] if volume["name"] == "tls"]
    assert {volume["secret"]["secretName"] for volume in volumes} == {certificate["secretName"]}


def test_a_database_of_its_own_is_the_one_that_is_used(helm: Path) -> None:
    objects = chart.render(helm, *VALUES["cloud-native-pg"])
    (name,) = of_kind(objects, "Cluster")
    for pod in pods_of(objects):
        (url,) = (each for each in pod["containers"][0]["env"] if each["name"] == "KAFILA_DATABASE_URL")
        assert url["valueFrom"]["secretKeyRef"] == {"name": f"{name}-app", "key": "uri"}  # as its operator names it


def test_the_agent_alone(helm: Path, programs: Path) -> None:
    """kafila's own, or Karmada's, which know every flag."""
    for values in (AGENT, KARMADA_AGENT):
        objects = chart.render(helm, *values)
        assert [each["kind"] for each in objects] == [
            *("NetworkPolicy", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment")
        ]
        (policy,) = of_kind(objects, "NetworkPolicy").values()
        (template,) = selected(objects, policy["spec"]["podSelector"]["matchLabels"])
        (container,) = template["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == ["metrics"]
        for argument, name in (("--metrics-bind-address", "metrics"), ("--health-probe-bind-address", "health")):
            assert f"{argument}=0.0.0.0:{ports[name]}" in container["args"]
        assert container["livenessProbe"]["httpGet"]["port"] == "health"
    (karmadas,) = pods_of(objects)
    flags = done(programs / "agent", "--help")
    for argument in karmadas["containers"][0]["args"]:
        assert f"{argument.partition('=')[0]} " in flags
    (own,) = pods_of(chart.render(helm, *AGENT))
    _, bound, _ = program().parse_args(own["containers"][0]["args"])
    assert bound.arguments["cluster_name"] == "member1"
    assert bound.arguments["karmada_kubeconfig"] == "/etc/karmada/karmada-kubeconfig"
    without = [each["kind"] for each in chart.render(helm, *AGENT, "networkPolicy.enabled=false")]
    assert "NetworkPolicy" not in without


def test_what_init_puts_into_a_cluster_is_what_helm_renders(programs: Path) -> None:
    assert chart.WRITTEN.read_text() == chart.manifests(programs / chart.HELM), "run `make chart`"


def test_the_chart_is_of_this_version() -> None:
    assert yaml.safe_load((chart.CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_the_job_has_another_name_when_it_does_something_else(helm: Path) -> None:
    def name(*values: str) -> str:
        return next(o["metadata"]["name"] for o in chart.render(helm, DATABASE, *values) if o["kind"] == "Job")

    assert name() == name()
    assert len({name(), name("image.tag=other"), name("migration.run=1"), name("api.advertise=a:1")}) == 4


# -- what runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(postgres_dsn: str) -> Iterator[str]:
    with by_port(postgres_dsn) as url:
        yield url


@pytest.fixture
def host(member1: Member) -> Iterator[tuple[Member, str]]:
    """A cluster, and a namespace of a test's own."""
    name = f"chart-{next(_numbers)}"
    member1.kubectl("create", "namespace", name)
    member1.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield member1, name
    member1.kubectl("delete", "namespace", name, "--wait=false")


def template(member: Member, namespace: str, *what: str) -> Any:
    found = json.loads(member.kubectl("-n", namespace, "get", *what, "-o", "json"))
    (item,) = found.get("items", [found])
    return item["spec"]["template"]


def left(member: Member, namespace: str) -> set[str]:
    """All that stands in a namespace, but what every namespace has, and what is only told."""
    resources = member.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    resources = [each for each in resources if not each.startswith("events") and "metrics" not in each]
    names = member.kubectl("-n", namespace, "get", ",".join(resources), "-o", "name", "--ignore-not-found").split()
    return set(names) - {"configmap/kube-root-ca.crt", "serviceaccount/default"}


def secret(member: Member, namespace: str, url: str) -> None:
    member.kubectl("-n", namespace, "create", "secret", "generic", "db", f"--from-literal=uri={url}")


def test_a_release(programs: Path, host: tuple[Member, str], url: str, tmp_path: Path) -> None:
    (member, namespace), (port,) = host, free_ports(1)
    helm = programs / "helm-4.2.4"
    secret(member, namespace, url)
    others = _serving_certificate(member, namespace, tmp_path)
    member.kubectl("-n", namespace, "create", "secret", "generic", "at-rest", f"--from-file=encryption.yaml={AT_REST}")
    values = (DATABASE, f"api.advertise={LOOPBACK}:{port}", "tls.existingSecret=serving")
    values += ("encryption.existingSecret.name=at-rest",)
    arguments = (chart.CHART, "-n", namespace, *(f"--set={value}" for value in values))
    notes = done(helm, "install", "kafila", *arguments, "--wait", "--timeout=90s", member=member)
    assert "secret kafila-kubeconfig" in notes
    assert f"It names {LOOPBACK}:{port}." in notes

    job = Pod(member, namespace, template(member, namespace, "jobs"), tmp_path / "job")
    job.start()
    assert job.process._running is not None
    assert job.process._running.wait(60) == 0, job.log()
    api = Pod(member, namespace, template(member, namespace, "deployment/kafila-api"), tmp_path / "api", port)
    workers = Pod(member, namespace, template(member, namespace, "deployment/kafila-workers"), tmp_path / "workers")
    pods = [api, workers]
    try:
        for pod in pods:
            pod.start()
        for pod in pods:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                wait_for(pod, probe)
            status = pod.status()
            assert status["Uid"].split() == ["65532"] * 4
            assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {0}
            assert status["NoNewPrivs"] == "1"
        with socket.create_connection((LOOPBACK, api.port)) as plain:
            ssl.create_default_context(cafile=others).wrap_socket(plain, server_hostname=LOOPBACK).close()
        _is_reached(member, namespace, programs, tmp_path)
        _is_watched(member, namespace, workers, api, tmp_path)
    finally:
        for pod in pods:
            pod.process.stop(patience=40)

    before = member.kubectl("-n", namespace, "get", "jobs", "-o", "name")
    done(helm, "upgrade", "kafila", *arguments, "--set=image.tag=next", "--wait", "--timeout=90s", member=member)
    assert member.kubectl("-n", namespace, "get", "jobs", "-o", "name") != before
    images = "jsonpath={.items[*].spec.template.spec.containers[0].image}"
    assert member.kubectl("-n", namespace, "get", "deployments", "-o", images).split() == ["kafila:next"] * 2
    keys = member.kubectl("-n", namespace, "get", "secret", "kafila-kubeconfig", "-o", "jsonpath={.data}")
    assert "kubeconfig" in keys, "an upgrade keeps it"
    done(helm, "uninstall", "kafila", "-n", namespace, "--wait", "--timeout=90s", member=member)
    member.kubectl("-n", namespace, "wait", "pods", "--all", "--for=delete", "--timeout=60s")
    assert left(member, namespace) == {"secret/db", "secret/serving", "secret/at-rest"}


def _serving_certificate(member: Member, namespace: str, folder: Path) -> Path:
    """In a Secret, of an authority of somebody else, whose file is returned."""
    authority = new_authority("somebody")
    pair = issue(authority, "kafila", hosts=[LOOPBACK])
    for name, content in (("other-ca.crt", authority.certificate), ("s.crt", pair.certificate), ("s.key", pair.key)):
        (folder / name).write_bytes(content)
    files = (f"--cert={folder}/s.crt", f"--key={folder}/s.key")
    member.kubectl("-n", namespace, "create", "secret", "tls", "serving", *files)
    return folder / "other-ca.crt"


def wait_for(pod: Pod, probe: str) -> None:
    wait_until(f"{probe} of {pod.process.name}", lambda: pod.probe(probe), pod.process)


def _is_reached(member: Member, namespace: str, programs: Path, folder: Path) -> None:
    """By the kubeconfig that the Job has written."""
    file = folder / "karmada.config"
    path = "jsonpath={.data.kubeconfig}"
    file.write_bytes(
        base64.b64decode(member.kubectl("-n", namespace, "get", "secret", "kafila-kubeconfig", "-o", path))
    )
    assert kubectl(programs / "kubectl", file, "config", "current-context").strip() == "karmada-apiserver"
    assert kubectl(programs / "kubectl", file, "get", "clusters") == ""
    assert kubectl(programs / "kubectl", file, "auth", "can-i", "*", "*").strip() == "yes"


def _is_watched(member: Member, namespace: str, workers: Pod, api: Pod, folder: Path) -> None:
    """By the certificate that the ServiceMonitor would show, and by nobody else."""
    data = json.loads(member.kubectl("-n", namespace, "get", "secret", "kafila-metrics", "-o", "jsonpath={.data}"))
    for name, content in data.items():
        (folder / name).write_bytes(base64.b64decode(content))
    nobody, prometheus = (ssl.create_default_context(cafile=folder / "ca.crt") for _ in range(2))
    prometheus.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    def get(port: int, path: str, client: ssl.SSLContext) -> tuple[int, str]:
        with contextlib.closing(http.client.HTTPConnection(LOOPBACK, port, timeout=30)) as connection:
            plain = socket.create_connection((LOOPBACK, port), timeout=30)
            connection.sock = client.wrap_socket(plain, server_hostname="apiserver-loopback-client")
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    assert get(workers.port, "/metrics", nobody)[0] == 403
    for pod in (workers, api):
        status, text = get(pod.port, "/metrics", prometheus)
        assert status == 200
        assert 'leader_election_master_status{name="controllers"}' in text
    assert get(api.port, "/api/v1/secrets", prometheus)[0] == 403


def test_a_release_of_helm_3(programs: Path, host: tuple[Member, str]) -> None:
    """Its three-way merge leaves what the Job has written."""
    member, namespace = host
    helm = programs / "helm-3.21.4"
    secret(member, namespace, "postgresql://nowhere/kafila")
    arguments = (chart.CHART, "-n", namespace, f"--set={DATABASE}")
    done(helm, "install", "kafila", *arguments, member=member)
    data = '{"data":{"kubeconfig":"eA=="}}'
    member.kubectl("-n", namespace, "patch", "secret", "kafila-kubeconfig", "--type=merge", "-p", data)
    done(helm, "upgrade", "kafila", *arguments, "--set=workers.replicas=3", member=member)
    keys = member.kubectl("-n", namespace, "get", "secret", "kafila-kubeconfig", "-o", "jsonpath={.data}")
    assert "kubeconfig" in keys
    done(helm, "uninstall", "kafila", "-n", namespace, "--wait", "--timeout=90s", member=member)
    member.kubectl("-n", namespace, "wait", "pods", "--all", "--for=delete", "--timeout=60s")
    assert left(member, namespace) == {"secret/db"}
