"""What a rule allows, and what rules allow that others do not."""

from __future__ import annotations

import pytest

from kafila.authorization.rules import (
    FULL_AUTHORITY,
    Rule,
    allows_path,
    allows_resource,
    compacted,
    shown,
    uncovered,
)


def resources(
    *names: str, verbs: tuple[str, ...] = ("get",), groups: tuple[str, ...] = ("",), only: tuple[str, ...] = ()
) -> Rule:
    return Rule(verbs, groups, names, only or None)


@pytest.mark.parametrize(
    ("rule", "verb", "group", "resource", "subresource", "allowed"),
    [
        (resources("pods"), "get", "", "pods", "", True),
        (resources("pods"), "list", "", "pods", "", False),
        (resources("pods"), "get", "apps", "pods", "", False),
        (resources("pods"), "get", "", "pods", "log", False),  # a subresource has to be named
        (resources("pods/log"), "get", "", "pods", "log", True),
        (resources("pods/log"), "get", "", "pods", "", False),
        (resources("*/log"), "get", "", "pods", "log", True),
        (resources("*/log"), "get", "", "pods", "logs", False),
        (resources("*/log"), "get", "", "pods", "", False),
        (resources("pods/*"), "get", "", "pods", "log", False),  # there is no such pattern
        (resources("*"), "get", "", "pods", "log", True),
        (resources("pods", groups=("*",)), "get", "apps", "pods", "", True),
        (resources("pods", verbs=("*",)), "escalate", "", "pods", "", True),
        (Rule(("get",), nonResourceURLs=("*",)), "get", "", "pods", "", False),
        (Rule(), "get", "", "pods", "", False),
    ],
)
def test_resources(rule: Rule, verb: str, group: str, resource: str, subresource: str, allowed: bool) -> None:
    assert allows_resource(rule, verb, group, resource, subresource) is allowed


@pytest.mark.parametrize(
    ("url", "path", "allowed"),
    [
        ("/metrics", "/metrics", True),
        ("/metrics", "/metrics/", False),
        ("*", "/metrics", True),
        ("/api/*", "/api/v1", True),
        ("/api/*", "/api", False),
        ("/api*", "/apis", True),
        ("/a/**", "/a/b", True),
        ("/*/b", "/a/b", False),
    ],
)
def test_paths(url: str, path: str, allowed: bool) -> None:
    assert allows_path(Rule(("get",), nonResourceURLs=(url,)), "get", path) is allowed
    assert not allows_path(Rule(("post",), nonResourceURLs=(url,)), "get", path)


@pytest.mark.parametrize(
    ("owned", "wanted", "missing"),
    [
        ([], [], []),
        (FULL_AUTHORITY, [resources("pods"), Rule(("get",), nonResourceURLs=("/x",))], []),
        (
            [resources("pods")],
            [resources("pods", "secrets", verbs=("get", "list"))],
            [resources("pods", verbs=("list",)), resources("secrets"), resources("secrets", verbs=("list",))],
        ),
        ([resources("pods", only=("a",))], [resources("pods")], [resources("pods")]),
        ([resources("pods", only=("a",))], [resources("pods", only=("a", "b"))], [resources("pods", only=("b",))]),
        ([resources("pods")], [resources("pods", only=("a",))], []),
        ([resources("*/status")], [resources("pods/status")], []),
        ([resources("pods")], [resources("*")], [resources("*")]),
        ([Rule(("get",), nonResourceURLs=("/a/*",))], [Rule(("get",), nonResourceURLs=("/a/b", "/a/*", "/b"))],
         [Rule(("get",), nonResourceURLs=("/b",))]),
    ],
)  # fmt: skip
def test_what_is_not_covered(owned: list[Rule], wanted: list[Rule], missing: list[Rule]) -> None:
    assert uncovered(owned, wanted) == missing


def test_a_refusal_shows_verbs_of_one_resource_together() -> None:
    parts = uncovered(
        [], [resources("pods", "secrets", verbs=("get", "list")), Rule(("get",), nonResourceURLs=("/x",))]
    )
    assert sorted(map(shown, compacted(parts))) == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
        '{NonResourceURLs:["/x"], Verbs:["get"]}',
    ]
