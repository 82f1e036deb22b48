"""kafila.installation.contexts: one kubeconfig for the control plane and for the cluster that it runs in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kafila.installation.contexts import CONTROL_PLANE, HOST, added, both, check, is_empty, stored, without
from kafila.members.kubeconfig import KubeconfigError, access, document


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


OWN = document(CONTROL_PLANE, "https://kafila:5443", token="own")


@pytest.mark.parametrize("context", ["", "kind-host"])
@pytest.mark.parametrize("user", [{"token": "hosts"}, {}])
def test_both_contexts_lead_where_they_say(context: str, user: dict[str, Any]) -> None:
    made = both(config("kind-host", "https://host:6443", user), context, OWN)
    plane, host = access(made, "", "here"), access(made, "karmada-host", "here")
    assert (plane.context, plane.endpoint, plane.token) == ("karmada-apiserver", "https://kafila:5443", "own")
    assert (host.endpoint, host.token, host.namespace) == ("https://host:6443", user.get("token", ""), "web")


def test_a_host_with_the_control_planes_names_is_kept_apart() -> None:
    host = config("karmada-apiserver", "https://host:6443", {"token": "hosts"})
    made = both(host, "", OWN)
    assert access(made, "", "here").token == "own"
    assert access(made, "karmada-host", "here").token == "hosts"


ENDPOINT = "https://host:6443"
MADE = both(config("kind-host", f"{ENDPOINT}/", {"token": "hosts"}), "", OWN)
FILE = Path("config")


def names(config: dict[str, Any]) -> list[list[str]]:
    return [[each["name"] for each in config[section]] for section in ("clusters", "contexts")]


def test_a_file_that_is_new_has_both() -> None:
    found = added({}, MADE, ENDPOINT, "here")
    assert names(found) == [[CONTROL_PLANE, HOST]] * 2
    assert (found["kind"], found["current-context"]) == ("Config", CONTROL_PLANE)
    left = without(found, ENDPOINT, "here", {})
    assert left is not None
    assert is_empty(left)


def test_what_others_have_in_a_file_stays() -> None:
    theirs = {**config("prod", "https://prod", {"tokenFile": "./token"}), "preferences": {"colors": True}}
    check(theirs, ENDPOINT, "here", FILE, {})
    found = added(theirs, MADE, ENDPOINT, "here")
    assert names(found) == [["prod", CONTROL_PLANE, HOST]] * 2
    assert [each["name"] for each in found["users"]] == ["prod-user", CONTROL_PLANE, HOST]
    assert (found["current-context"], found["preferences"]) == ("prod", {"colors": True})
    assert access(found, CONTROL_PLANE, "here").token == "own"
    left = without(found, ENDPOINT, "here", {})
    assert left is not None
    assert not is_empty(left)
    assert names(left) == names(theirs)
    assert left["current-context"] == "prod"


def test_the_same_installation_is_replaced() -> None:
    found = added({}, MADE, ENDPOINT, "here")
    check(found, ENDPOINT, "here", FILE, {})
    other = both(config("kind-host", ENDPOINT, {}), "", document(CONTROL_PLANE, "https://elsewhere", token="new"))
    found = added(found, other, ENDPOINT, "here")
    assert names(found) == [[CONTROL_PLANE, HOST]] * 2
    assert access(found, "", "here").endpoint == "https://elsewhere"


@pytest.mark.parametrize(
    "theirs",
    [
        added({}, MADE, ENDPOINT, "there"),
        added({}, MADE, "https://other:6443", "here"),
        MADE,  # Karmada's
        {"users": [{"name": HOST}]},
    ],
)
def test_another_installation_is_left_alone(theirs: dict[str, Any]) -> None:
    with pytest.raises(KubeconfigError, match=r'^kubeconfig config has a \w+ "karmada-\w+" .*--karmada-kubeconfig$'):
        check(theirs, ENDPOINT, "here", FILE, {})
    assert without(theirs, ENDPOINT, "here", {}) is None


def of_plane(authority: str) -> dict[str, Any]:
    made = document(CONTROL_PLANE, "https://kafila:5443", token="own")
    made["clusters"][0]["cluster"]["certificate-authority-data"] = authority
    return made


def test_what_an_earlier_init_wrote_is_known_by_its_authority() -> None:
    """It did not say whose it was, or the host cluster had another address then."""
    for earlier in (
        both(config("kind-host", ENDPOINT, {}), "", of_plane("Y2E=")),
        added({}, both(config("kind-host", ENDPOINT, {}), "", of_plane("Y2E=")), "https://before:6443", "here"),
    ):
        check(earlier, ENDPOINT, "here", FILE, of_plane("Y2E="))
        left = without(earlier, ENDPOINT, "here", of_plane("Y2E="))
        assert left is not None
        assert is_empty(left)
        for another in (of_plane("b3RoZXI="), of_plane(""), OWN, {}):
            assert without(earlier, ENDPOINT, "here", another) is None
            with pytest.raises(KubeconfigError):
                check(earlier, ENDPOINT, "here", FILE, another)
    assert without(MADE, ENDPOINT, "here", OWN) is None  # neither has one


@pytest.mark.parametrize("text", ["[]", "clusters: {a: b}", "users: [a]", "a: [", "\0"])
def test_what_is_no_kubeconfig_is_not_added_to(text: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(KubeconfigError):
        stored(tmp_path / "config")
    assert stored(tmp_path / "none") == {}
