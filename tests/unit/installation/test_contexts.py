"""kafila.installation.contexts: one kubeconfig for the control plane and for the cluster that it runs in."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.installation.contexts import both, server_of
from kafila.members.kubeconfig import access


def config(name: str, server: str, user: dict[str, Any]) -> dict[str, Any]:
    return {
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": f"{name}-user", "user": user}] if user else [],
        "contexts": [
            {
                "name": name,
                "context": {"cluster": name, "namespace": "web", **({"user": f"{name}-user"} if user else {})},
            }
        ],
        "current-context": name,
    }


OWN = config("karmada-apiserver", "https://kafila:5443", {"token": "own"})


@pytest.mark.parametrize("context", ["", "kind-host"])
@pytest.mark.parametrize("user", [{"token": "hosts"}, {}])
def test_both_contexts_lead_where_they_say(context: str, user: dict[str, Any]) -> None:
    made = both(config("kind-host", "https://host:6443", user), context, OWN)
    plane, host = access(made, "", "here"), access(made, "karmada-host", "here")
    assert (plane.context, plane.endpoint, plane.token) == ("karmada-apiserver", "https://kafila:5443", "own")
    assert (host.endpoint, host.token, host.namespace) == ("https://host:6443", user.get("token", ""), "web")
    assert server_of(made) == "https://kafila:5443"


def test_a_host_with_the_control_planes_names_is_kept_apart() -> None:
    host = config("karmada-apiserver", "https://host:6443", {"token": "hosts"})
    made = both(host, "", OWN)
    assert access(made, "", "here").token == "own"
    assert access(made, "karmada-host", "here").token == "hosts"


def test_a_file_without_a_control_plane_has_no_server() -> None:
    assert server_of(config("other", "https://x", {})) == ""
