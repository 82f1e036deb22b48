"""What a path and its parameters ask for."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kafila.api.request import Request, Target, _parsed, parse_query, parse_target
from kafila.core.errors import StatusError
from kafila.registry import User

PATHS = [
    ("/api/v1", Target("", "v1")),
    ("/api/v1/", Target("", "v1")),
    ("/apis/apps/v1", Target("apps", "v1")),
    ("/api/v1/pods", Target("", "v1", "pods")),
    ("/api/v1/namespaces", Target("", "v1", "namespaces")),
    ("/api/v1/namespaces/n", Target("", "v1", "namespaces", "", "n")),
    ("/api/v1/namespaces/n/status", Target("", "v1", "namespaces", "", "n", "status")),
    ("/api/v1/namespaces/n/finalize", Target("", "v1", "namespaces", "", "n", "finalize")),
    ("/api/v1/namespaces/n/pods", Target("", "v1", "pods", "n")),
    ("/api/v1/namespaces/n/pods/", Target("", "v1", "pods", "n")),
    ("/api/v1/namespaces/n/pods/p/log", Target("", "v1", "pods", "n", "p", "log")),
    ("/apis/apps/v1/namespaces/n/deployments/d/scale", Target("apps", "v1", "deployments", "n", "d", "scale")),
    ("/apis/g/v1/clusters/c/proxy/api/v1/pods", Target("g", "v1", "clusters", "", "c", "proxy", "api/v1/pods")),
    ("/apis/g/v1/clusters/c/proxy/api/v1/", Target("g", "v1", "clusters", "", "c", "proxy", "api/v1/")),
    ("/api/v1/watch/namespaces/n/pods", Target("", "v1", "pods", "n", watch=True)),
    ("/api/v1/watch/namespaces/n", Target("", "v1", "namespaces", "", "n", watch=True)),
    ("/api", None),
    ("/apis", None),
    ("/apis/apps", None),
    ("/apis/apps/", None),
    ("/version", None),
    ("/", None),
    ("*", None),
    ("", None),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
def test_paths(path: str, expected: Target | None) -> None:
    assert parse_target(path) == expected


@given(st.lists(st.sampled_from(["", "api", "apis", "v1", "watch", "namespaces", "x", "proxy", ".."]), max_size=9))
def test_every_path_has_an_answer(parts: list[str]) -> None:
    target = parse_target("/" + "/".join(parts))
    assert target is None or isinstance(target, Target)


@given(st.lists(st.sampled_from(["", "api", "apis", "v1", "watch", "namespaces", "status", "x", "proxy"]), max_size=9))
@example(["api", "v1", "namespaces", "x", "", "", "x", "x"])
@example(["api", "v1", "namespaces", "x", "", "", "", "x", "x"])
def test_a_path_below_a_known_collection_is_read_as_any_other(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert parse_target(path) == _parsed.__wrapped__(path)  # type: ignore[attr-defined]


def request(query: bytes) -> Request:
    return Request("GET", "/", None, parse_query(query), {}, User("u"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", False),
        (b"f=", False),
        (b"f=0", False),
        (b"f=False", False),
        (b"f=1", True),
        (b"f=true", True),
        (b"f=x", True),
    ],
)
def test_boolean_parameters(query: bytes, expected: bool) -> None:
    assert request(query).flag("f") is expected


def test_numbers() -> None:
    assert request(b"n=12").number("n") == 12
    assert request(b"n=-3").number("n") == -3
    assert request(b"n=").number("n") is None
    for bad in (b"n=x", b"n=1e5", b"n=-", b"n=%D9%A3", b"n=" + b"9" * 30):
        with pytest.raises(StatusError, match="invalid syntax"):
            request(bad).number("n")


def test_the_first_of_repeated_parameters_counts() -> None:
    assert parse_query(b"a=1&a=2&b&c=%20x") == {"a": "1", "b": "", "c": " x"}


def test_the_manager_is_named_or_guessed() -> None:
    asked = Request("GET", "/", None, {}, {b"user-agent": b"kubectl/v1.30 (linux)"}, User("u"))
    assert asked.manager == "kubectl"
    asked.query["fieldManager"] = "me"
    assert asked.manager == "me"
