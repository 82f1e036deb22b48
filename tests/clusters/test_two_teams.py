"""docs/tenancy.md, carried out: a real OpenID Connect issuer, real members with RBAC, two teams, and where each of them ends."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import final

import pytest
from cluster_federation import EXAMPLES, PROXY, Federation, Proxied, federation_alone, replicas
from cluster_harness import Member, Members

from tests.clients.test_oidc_issuer import RealIssuer, configuration, script

__all__ = ["script"]
RECIPE = (EXAMPLES.parent / "docs/tenancy.md").read_text()
WITHOUT_NGINX = ("get", "pods", "-n", "team-a", "-o", "name")


@pytest.fixture(scope="session")
def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kafila"


def written(command: str) -> list[str]:
    """A command of the recipe, word for word."""
    assert f"       {command}\n" in RECIPE, command
    words = command.replace("examples/", f"{EXAMPLES}/").split()
    return [word for word in words if not re.match(r"kubectl$|member\d\.kubeconfig$|--kubeconfig$", word)]


@final
class Teams:
    def __init__(self, plane: Federation, issuer: RealIssuer, folder: Path) -> None:
        self.plane = plane
        self._issuer = issuer
        self._folder = folder

    def user(self, name: str, member: str = "") -> Proxied:
        """kubectl with a token of the issuer."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return Proxied(self.plane, member, folder, self._issuer.token(name))


@pytest.fixture(scope="module")
def teams(lab: Members, member1: Member, member2: Member, script: Path) -> Iterator[Teams]:
    with tempfile.TemporaryDirectory(prefix="kafila-teams-") as name:
        folder = Path(name)
        issuer = RealIssuer(script, folder)
        file = folder / "issuer.yaml"
        file.write_text(configuration(issuer.url))
        flags = "--authentication-config issuer.yaml --feature-gates FederatedQuotaEnforcement=true"
        assert f"       kafila serve {flags}\n" in RECIPE
        flags = flags.replace("issuer.yaml", str(file))
        with issuer.running("one"), federation_alone(lab, *flags.split()) as plane:
            plane.join(member1)
            plane.join(member2)
            plane.kubectl(*written("kubectl apply -f examples/teams/"))
            plane.eventually("its namespace", lambda: member1.kubectl("get", "ns", "team-a", "-o", "name") != "")
            command = "kubectl --kubeconfig member1.kubeconfig create rolebinding team -n team-a --clusterrole=view --group=corp:team-a"
            member1.kubectl(*written(command))
            yield Teams(plane, issuer, folder)
            plane.kubectl("delete", "-f", str(EXAMPLES / "teams"), "--ignore-not-found")
            for name in list(plane.joined):
                plane.unjoin(name)


@pytest.fixture(scope="module")
def ann(teams: Teams, member1: Member) -> Proxied:
    """She has applied examples/nginx, and it runs."""
    found = teams.user("ann")
    found(*written("kubectl apply -n team-a -f examples/nginx/"))
    teams.plane.eventually("both replicas", lambda: replicas(member1, "nginx", "team-a") == 2)
    running = (*WITHOUT_NGINX[:-1], "jsonpath={.items[*].status.phase}")
    teams.plane.eventually("pods run", lambda: member1.kubectl(*running).split() == ["Running"] * 2)
    return found


def test_who_they_are(teams: Teams) -> None:
    seen = json.loads(teams.user("ann")("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert (seen["username"], seen["groups"]) == ("corp:ann", ["corp:team-a", "system:authenticated"])


def test_everything_goes_to_the_clusters_of_the_team(teams: Teams, ann: Proxied, member2: Member) -> None:
    said = "namespace team-a may not use cluster(s) member2"
    teams.plane.eventually(
        "an event says so", lambda: said in ann(*written("kubectl get events -n team-a"), "-o", "yaml")
    )
    assert member2.kubectl("get", "namespace", "team-a", "--ignore-not-found") == ""
    assert "member2" not in ann("get", "resourcebindings", "-n", "team-a", "-o", "jsonpath={.items[*].spec.clusters}")


def test_what_the_administrator_places_there_holds(teams: Teams, ann: Proxied, member1: Member) -> None:
    found = member1.kubectl("get", "limitrange,resourcequota", "-n", "team-a", "-o", "name").split()
    assert found == ["limitrange/defaults", "resourcequota/team"]
    asked = ("get", "pods", "-n", "team-a", "-o", "jsonpath={.items[*].spec.containers[0].resources.requests.cpu}")
    assert member1.kubectl(*asked).split() == ["100m", "100m"]
    limits = {"apiVersion": "v1", "kind": "LimitRange"}
    taking = {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "PropagationPolicy",
        "metadata": {"name": "taking", "namespace": "team-a"},
        "spec": {"resourceSelectors": [limits], "placement": {"clusterAffinity": {"clusterNames": ["nowhere"]}}},
    }
    with pytest.raises(RuntimeError, match=r'cannot create resource "limitranges" in API group "" in the namespace'):
        ann("apply", "-f", "-", stdin=json.dumps(taking))
    assert 'cannot patch resource "namespaces"' in ann.error("annotate", "ns", "team-a", "--overwrite",
                                                             "placement.kafila.io/allowed-clusters=*")  # fmt: skip


def test_she_is_herself_in_her_member_and_in_no_other(teams: Teams, ann: Proxied) -> None:
    shown = ann(
        *written(
            "kubectl get --raw /apis/cluster.karmada.io/v1alpha1/clusters/member1/proxy/api/v1/namespaces/team-a/pods"
        )
    )
    assert len(json.loads(shown)["items"]) == 2
    there = teams.user("ann", "member1")
    who = 'User "corp:ann" cannot'
    assert f'{who} list resource "pods" in API group "" in the namespace "default"' in there.error("get", "pods")
    assert f'{who} delete resource "deployments"' in there.error("delete", "deployment", "nginx", "-n", "team-a")
    secrets = f'{who} list resource "secrets" in API group "" in the namespace "karmada-cluster"'
    assert secrets in there.error("get", "secrets", "-n", "karmada-cluster")
    refused = ann.error("get", "--raw", PROXY.format("member2") + "/api/v1/namespaces")
    assert f'clusters.cluster.karmada.io "member2" is forbidden: {who} get resource "clusters/proxy"' in refused


@pytest.mark.parametrize("what", ["deployments", "secrets", "propagationpolicies", "resourcebindings", "events"])
def test_the_other_team_sees_nothing_of_it(teams: Teams, ann: Proxied, what: str) -> None:
    refused = f'User "corp:bob" cannot list resource "{what}"'
    assert refused in teams.user("bob").error("get", what, "-n", "team-a")


def test_neither_quota_is_exceeded(teams: Teams, ann: Proxied, member1: Member) -> None:
    """That of the federation by what is said, that of the member by what is not: containers count 100m by default."""
    ann("scale", "deployment", "nginx", "-n", "team-a", "--replicas=22")
    running = (*WITHOUT_NGINX[:-1], "jsonpath={.items[*].status.phase}")
    teams.plane.eventually("as many as fit", lambda: len(member1.kubectl(*running).split()) == 20)
    ann("set", "resources", "deployment", "nginx", "-n", "team-a", "--requests=cpu=1")
    said = "FederatedResourceQuota(team-a/team) exceeded for resource cpu: requested sum 22, limit 2."
    teams.plane.eventually("it is said", lambda: said in ann("get", "events", "-n", "team-a"))
    assert len(member1.kubectl(*running).split()) == 20


def test_the_other_team_is_not_hindered(teams: Teams, ann: Proxied, member2: Member) -> None:
    teams.user("bob")("apply", "-n", "team-b", "-f", f"{EXAMPLES}/nginx/")
    teams.plane.eventually("bob's", lambda: replicas(member2, "nginx", "team-b") == 2)
