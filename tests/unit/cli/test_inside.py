"""``kafila logs`` and its like read as much of a command line as they need, and leave the rest to kubectl; ``kafila kubeconfig``."""

from __future__ import annotations

import pytest

from kafila.cli import UsageError
from kafila.cli.inside import Wanted, wanted
from kafila.cli.kubeconfig import contexts


@pytest.mark.parametrize(
    ("command", "line", "meant"),
    [
        ("logs", "web-1", Wanted("web-1", ("web-1",))),
        ("logs", "-f --tail 5 deploy/web -C m1", Wanted("deploy/web", ("-f", "--tail=5", "deploy/web"), "m1")),
        ("logs", "-n shop -l app=web --prefix", Wanted("", ("-l", "app=web", "--prefix"), namespace="shop")),
        ("logs", "--selector=app=web", Wanted("", ("--selector=app=web",))),
        ("logs", "--namespace=shop a b", Wanted("a", ("a", "b"), namespace="shop")),
        (
            "exec",
            "-it web-1 -c main --kubeconfig x --karmada-context=y -- sh -c -n",
            Wanted("web-1", ("-it", "web-1", "-c", "main", "--", "sh", "-c", "-n"), "", "x", "y"),
        ),
        ("cp", "a/b web-1:/c --retries 3", Wanted("a/b", ("a/b", "web-1:/c", "--retries=3"))),
        ("exec", "-itc main web-1 -- sh", Wanted("web-1", ("-itc", "main", "web-1", "--", "sh"))),
        ("exec", "--cluster=m1 web-1 -- ls -C", Wanted("web-1", ("web-1", "--", "ls", "-C"), "m1")),
        (
            "port-forward",
            "svc/web 80:8080 --address 0.0.0.0",
            Wanted("svc/web", ("svc/web", "80:8080", "--address=0.0.0.0")),
        ),
    ],
)
def test_what_is_meant(command: str, line: str, meant: Wanted) -> None:
    assert wanted(command, line.split(" ")) == meant


@pytest.mark.parametrize(
    ("command", "line", "why"),
    [
        ("logs", "", "kafila logs needs a POD or TYPE/NAME"),
        ("exec", "-it -- sh", "kafila exec needs a POD or TYPE/NAME"),
        ("cp", "--retries=3", "kafila cp needs files and POD:FILE"),
        ("logs", "web -C", "flag needs an argument: -C"),
        ("logs", "web --tail", "flag needs an argument: --tail"),
    ],
)
def test_what_is_refused(command: str, line: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        wanted(command, line.split())


def test_a_context_for_each() -> None:
    config = {
        "clusters": [{"name": "k", "cluster": {"server": "https://k/", "certificate-authority-data": "ca"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "shop"}}, {"name": "d"}],
        "users": [{"name": "u", "user": {"token": "t"}}, {"name": "other", "user": {"token": "secret"}}],
    }
    made = contexts(config, "c", ["m1", "*"])
    assert made["current-context"] == "m1"
    assert made["users"] == [{"name": "u", "user": {"token": "t"}}]
    path = "https://k/apis/cluster.karmada.io/v1alpha1/clusters"
    assert made["clusters"] == [
        {"name": "m1", "cluster": {"server": f"{path}/m1/proxy", "certificate-authority-data": "ca"}},
        {"name": "all-clusters", "cluster": {"server": f"{path}/*/proxy", "certificate-authority-data": "ca"}},
    ]
    assert made["contexts"][1] == {
        "name": "all-clusters",
        "context": {"cluster": "all-clusters", "user": "u", "namespace": "shop"},
    }
