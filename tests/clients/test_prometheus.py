"""Prometheus, unmodified, reads /metrics with a service account's token, as examples/prometheus has it; without one it is refused."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.reconcile.test_karmada_metrics import READ, Read

EXAMPLE = Path(__file__).parents[2] / "examples/prometheus"
BUILD = Path(__file__).parents[1] / "clusters/build.sh"
FAMILIES = {
    "apiserver_request_total": "counter",
    "apiserver_request_duration_seconds": "histogram",
    "kafila_connections": "gauge",
}

pytestmark = [pytest.mark.long, pytest.mark.clusters, pytest.mark.timeout(1200)]  # building it takes minutes, once


@pytest.fixture(scope="module")
def prometheus(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. A second job has no token."""
    built = subprocess.run([BUILD, "--prometheus"], stdout=subprocess.PIPE, check=True, text=True)
    programs = Path(built.stdout.splitlines()[-1]) / "bin"
    folder = tmp_path_factory.mktemp("prometheus")

    def kubectl(*arguments: str) -> str:
        command = [programs / "kubectl", *arguments]
        return subprocess.run(
            command, env=served.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    kubectl("apply", "-f", str(EXAMPLE))
    (folder / "token").write_text(kubectl("create", "token", "prometheus", "-n", "monitoring"))
    config = yaml.safe_load((EXAMPLE / "prometheus.config").read_text())
    config["global"]["scrape_interval"] = "1s"
    (job,) = config["scrape_configs"]
    job["tls_config"]["ca_file"] = str(served.kubeconfig.parent / "pki/ca.crt")
    job["authorization"]["credentials_file"] = str(folder / "token")
    job["static_configs"] = [{"targets": [served.server.removeprefix("https://")]}]
    config["scrape_configs"].append(
        {name: value for name, value in {**job, "job_name": "stranger"}.items() if name != "authorization"}
    )
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [programs / "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
        kubectl("delete", "-f", str(EXAMPLE), "--wait=false")


def said(prometheus: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


def targets(prometheus: str) -> dict[str, Any]:
    """By job, once both were scraped."""
    deadline = time.monotonic() + 90
    while True:
        try:
            found = {each["labels"]["job"]: each for each in said(prometheus, "targets")["activeTargets"]}
        except OSError:
            found = {}  # it does not listen yet
        if len(found) == 2 and all(each["health"] != "unknown" for each in found.values()):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_it_scrapes_with_a_token_and_not_without(prometheus: str) -> None:
    found = targets(prometheus)
    assert (found["kafila"]["health"], found["kafila"]["lastError"]) == ("up", "")
    assert found["stranger"]["health"] == "down"
    assert "403 Forbidden" in found["stranger"]["lastError"]
    up = {each["metric"]["job"]: each["value"][1] for each in said(prometheus, "query", query="up")["result"]}
    assert up == {"kafila": "1", "stranger": "0"}


def test_families_arrive_with_their_types(prometheus: str) -> None:
    targets(prometheus)
    metadata = said(prometheus, "metadata")
    for family, kind in FAMILIES.items():
        assert [each["type"] for each in metadata[family]] == [kind]
    query = 'sum(apiserver_request_total{job="kafila",resource="serviceaccounts",verb="POST",code=~"2.."})'
    ((_, count),) = [each["value"] for each in said(prometheus, "query", query=query)["result"]]
    assert float(count) >= 1
    text = "histogram_quantile(0.9, sum by (le) (apiserver_request_duration_seconds_bucket))"
    assert len(said(prometheus, "query", query=text)["result"]) == 1
    assert said(prometheus, "query", query='scrape_samples_post_metric_relabeling{job="kafila"} > 200')["result"]


HAPPENS = (  # without a member
    "resource_match_policy_duration_seconds",
    "resource_apply_policy_duration_seconds",
    "binding_sync_work_duration_seconds",
    "karmada_scheduler",
)
TEMPLATE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "harness"}, "data": {"a": "b"}}
POLICY = {
    "apiVersion": "policy.karmada.io/v1alpha1",
    "kind": "PropagationPolicy",
    "metadata": {"name": "harness"},
    "spec": {
        "resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "harness"}],
        "placement": {"clusterAffinity": {"clusterNames": ["nowhere"]}},
    },
}


def query_of(read: Read) -> str:
    """As Karmada's harness asks for it."""
    selected = ",".join(f'{name}="{value}"' for name, value in read.labels.items())
    if read.name.endswith("_bucket"):
        return f"histogram_quantile(0.99, sum(rate({read.name}{{{selected}}}[2m])) by (le))"
    if read.type == "gauge":
        return f"max_over_time({read.name}{{{selected}}}[2m])"
    return f"sum({read.name}{{{selected}}})"


def test_karmadas_performance_harness_is_answered(prometheus: str, served: Any) -> None:
    """What needs members is in tests/integration/reconcile/test_karmada_metrics.py."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [POLICY, TEMPLATE]})
    programs = Path(subprocess.run([BUILD], stdout=subprocess.PIPE, check=True, text=True).stdout.split()[-1]) / "bin"
    for verb in ("apply", "delete"):
        subprocess.run(
            [programs / "kubectl", verb, "-f", "-"], env=served.environment, input=listed, check=True, text=True
        )
    targets(prometheus)
    deadline = time.monotonic() + 90
    wanted = [each for each in READ if each.name.startswith(HAPPENS) and each.labels.get("result") != "scheduled"]
    while lacking := [read for read in wanted if not said(prometheus, "query", query=query_of(read))["result"]]:
        assert time.monotonic() < deadline, lacking
        time.sleep(0.5)
    for read in READ:
        assert said(prometheus, "query", query=query_of(read))["resultType"] == "vector"
