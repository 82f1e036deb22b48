"""What headers ask for, what that takes and who it makes of the caller."""

from __future__ import annotations

import pytest

from kafila.authentication.impersonation import (
    Attributes,
    IncompleteImpersonation,
    requested,
    service_account_of,
    unescaped,
)

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ACCOUNT = "system:serviceaccount:ns:sa"


@pytest.mark.parametrize(
    ("user", "groups", "becomes"),
    [
        ("alice", [], [AUTHENTICATED]),
        ("alice", ["dev"], ["dev", AUTHENTICATED]),
        ("alice", [AUTHENTICATED, "dev"], [AUTHENTICATED, "dev"]),
        ("alice", [UNAUTHENTICATED], [UNAUTHENTICATED]),
        ("system:anonymous", [], [UNAUTHENTICATED]),
        ("system:anonymous", ["dev"], ["dev", UNAUTHENTICATED]),
        (ACCOUNT, [], ["system:serviceaccounts", "system:serviceaccounts:ns", AUTHENTICATED]),
        (ACCOUNT, ["dev"], ["dev", AUTHENTICATED]),
    ],
)
def test_groups(user: str, groups: list[str], becomes: list[str]) -> None:
    headers = [(b"impersonate-user", user.encode()), *((b"impersonate-group", group.encode()) for group in groups)]
    found = requested(headers)
    assert found is not None
    assert (found.user.name, list(found.user.groups)) == (user, becomes)
    assert [need.name for need in found.needs[1:]] == groups  # only what was asked for, not what comes along


def test_nothing_is_asked_for() -> None:
    for headers in ([], [(b"accept", b"x")], [(b"impersonate-user", b"")], [(b"impersonate_user", b"x")]):
        assert requested(headers) is None
    for name in (b"impersonate-group", b"impersonate-uid", b"impersonate-extra-a"):
        with pytest.raises(IncompleteImpersonation):
            requested([(name, b"x")])


def test_service_accounts_are_asked_for_as_such() -> None:
    found = requested([(b"impersonate-user", ACCOUNT.encode())])
    assert found is not None
    assert found.needs == (Attributes("", "serviceaccounts", "sa", "ns"),)
    assert service_account_of("system:serviceaccount:ns:a.b") == ("ns", "a.b")
    for other in (
        "system:serviceaccount:ns:",
        "system:serviceaccount::sa",
        f"{ACCOUNT}:x",
        "x",
        "system:serviceaccount:N_S:a",
    ):
        assert service_account_of(other) is None


def test_keys_of_extras_are_escaped_in_headers() -> None:
    assert unescaped("acme.com%2fproject") == "acme.com/project"
    assert unescaped("a%zz%2f") == "a%zz%2f"
    assert unescaped("a%") == "a%"
