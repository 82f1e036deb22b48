"""Policy files: what is read from them, and what is refused with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.audit.policy import GroupResources, Level, Policy, Rule
from kafila.audit.reading import read_policy
from kafila.machinery.configuration import ConfigurationError

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def test_everything_a_policy_can_say() -> None:
    text = """
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: RequestResponse
  users: [jane]
  userGroups: [team]
  verbs: [get]
  namespaces: ["", default]
  resources:
  - {group: apps, resources: ["deployments/*"], resourceNames: [web]}
  omitStages: [Panic]
  omitManagedFields: false
- level: None
  nonResourceURLs: ["/healthz*", "*"]
"""
    first = Rule(
        Level.REQUEST_RESPONSE,
        frozenset({"jane"}),
        frozenset({"team"}),
        frozenset({"get"}),
        (GroupResources("apps", ("deployments/*",), frozenset({"web"})),),
        frozenset({"", "default"}),
        (),
        frozenset({"Panic"}),
        False,
    )
    second = Rule(Level.NONE, paths=("/healthz*", "*"))
    assert read_policy((HEAD + text).encode()) == Policy((first, second), frozenset({"RequestReceived"}), True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: is empty"),
        ("a: [", "line 1: "),
        ("kind: Policy\nrules: [{level: None}]", "line 1: apiVersion must be audit.k8s.io/v1"),
        (
            "apiVersion: audit.k8s.io/v1beta1\nkind: Policy",
            "line 1: apiVersion: apiVersion must be audit.k8s.io/v1",
        ),
        ("apiVersion: audit.k8s.io/v1\nkind: Event", "line 2: kind: kind must be Policy"),
        (HEAD, "line 1: needs at least one rule"),
        (HEAD + "rules: []", "line 3: rules: needs at least one rule"),
        (HEAD + "rules: [{}]", "line 3: rules[0]: needs a level"),
        (HEAD + "rules:\n- level: All", 'line 4: rules[0].level: unsupported value "All": must be one of None, Meta'),
        (HEAD + "rules:\n- level: None\n  user: [a]", 'line 5: rules[0]: unknown field "user"'),
        (HEAD + "omitStages: [End]\nrules: [{level: None}]", 'line 3: omitStages[0]: unsupported value "End"'),
        (
            HEAD + "rules:\n- level: None\n  namespaces: [a]\n  nonResourceURLs: [/b]",
            "line 6: rules[0].nonResourceURLs: rules cannot apply to both",
        ),
        (HEAD + "rules: [{level: None, nonResourceURLs: [healthz]}]", 'must begin with "/", or be "*"'),
        (HEAD + 'rules: [{level: None, nonResourceURLs: ["/*/a"]}]', '"*" may only stand at the end'),
        (HEAD + "rules: [{level: None, resources: [{group: apps/v1}]}]", "a version does not belong here"),
        (HEAD + "rules: [{level: None, resources: [{resourceNames: [a]}]}]", "requires at least one resource"),
        (HEAD + "rules: [{level: None, users: a}]", "rules[0].users: must be a list"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_policy(text.encode())
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=200))
def test_nothing_else_happens_to_nonsense(text: str) -> None:
    with pytest.raises(ConfigurationError):
        read_policy((HEAD + "x: 1\n" + text).encode("utf-8", "replace"))
