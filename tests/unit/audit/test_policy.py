"""Rules of a policy, as kube-apiserver's checker reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.audit.policy import STAGES, GroupResources, Level, Policy, Rule, Verdict
from kafila.authorization import Attributes
from kafila.registry import User

JANE = User("jane", ("team", "system:authenticated"))
NOBODY = User("")


def resource(**more: Any) -> Attributes:
    found = {"user": JANE, "verb": "get", "version": "v1", "resource": "pods", "namespace": "default", "name": "web"}
    return Attributes(**{**found, **more})


def path(at: str, verb: str = "get") -> Attributes:
    return Attributes(JANE, verb, path=at)


def of(*resources: str, group: str = "", names: tuple[str, ...] = ()) -> tuple[GroupResources, ...]:
    return (GroupResources(group, resources, frozenset(names)),)


@pytest.mark.parametrize(
    ("rule", "asked", "matches"),
    [
        ({}, resource(), True),
        ({}, path("/healthz"), True),
        ({"users": {"jane"}}, resource(), True),
        ({"users": {"joe"}}, resource(), False),
        ({"users": {""}}, resource(user=NOBODY), False),
        ({"groups": {"team", "other"}}, resource(), True),
        ({"groups": {"other"}}, resource(), False),
        ({"groups": {"team"}}, resource(user=NOBODY), False),
        ({"users": {"jane"}, "groups": {"other"}}, resource(), False),
        ({"verbs": {"get", "list"}}, resource(), True),
        ({"verbs": {"list"}}, resource(), False),
        ({"verbs": {"*"}}, resource(), False),  # no wildcard here
        ({"verbs": {"get"}}, path("/metrics"), True),
        ({"namespaces": {"default"}}, resource(), True),
        ({"namespaces": {"kube-system"}}, resource(), False),
        ({"namespaces": {""}}, resource(), False),
        ({"namespaces": {""}}, resource(resource="nodes", namespace=""), True),
        ({"namespaces": {""}}, path("/metrics"), False),
        ({"resources": of("pods")}, resource(), True),
        ({"resources": of("pods")}, resource(subresource="log"), False),
        ({"resources": of("pods/log")}, resource(subresource="log"), True),
        ({"resources": of("pods/log")}, resource(), False),
        ({"resources": of("pods/*")}, resource(subresource="log"), True),
        ({"resources": of("pods/*")}, resource(), True),
        ({"resources": of("*/log")}, resource(subresource="log"), True),
        ({"resources": of("*/log")}, resource(), False),
        ({"resources": of("*")}, resource(subresource="log"), True),
        ({"resources": of("*")}, resource(group="apps"), False),
        ({"resources": of()}, resource(subresource="log"), True),
        ({"resources": of(group="apps")}, resource(), False),
        ({"resources": of("deployments", group="apps")}, resource(group="apps", resource="deployments"), True),
        ({"resources": of("pods", names=("web",))}, resource(), True),
        ({"resources": of("pods", names=("other",))}, resource(), False),
        ({"resources": of("pods", names=("web",))}, resource(name="", verb="list"), False),
        ({"resources": (*of("nodes"), *of("pods"))}, resource(), True),
        ({"resources": of("pods"), "namespaces": {"other"}}, resource(), False),
        ({"resources": of("*")}, path("/api"), False),
        ({"paths": ("/healthz",)}, path("/healthz"), True),
        ({"paths": ("/healthz",)}, path("/healthz/etcd"), False),
        ({"paths": ("/healthz*",)}, path("/healthz/etcd"), True),
        ({"paths": ("/healthz*",)}, path("/health"), False),
        ({"paths": ("*",)}, path("/anything"), True),
        ({"paths": ("*",)}, resource(), False),
        ({"paths": ("/a", "/b")}, path("/b"), True),
    ],
)
def test_a_rule_matches(rule: dict[str, Any], asked: Attributes, matches: bool) -> None:
    fields = {name: frozenset(value) if isinstance(value, set) else value for name, value in rule.items()}
    assert Rule(Level.METADATA, **fields).match(asked) is matches


def test_the_first_rule_that_matches_decides() -> None:
    policy = Policy((Rule(Level.NONE, users=frozenset({"jane"})), Rule(Level.REQUEST)))
    assert policy.verdict(resource()).level == Level.NONE
    assert policy.verdict(resource(user=User("joe"))).level == Level.REQUEST


def test_what_no_rule_matches_is_not_recorded() -> None:
    assert Policy((Rule(Level.REQUEST, users=frozenset({"joe"})),)).verdict(resource()) == Verdict(Level.NONE)


def test_stages_that_are_left_out_are_those_of_both() -> None:
    rule = Rule(Level.METADATA, omit_stages=frozenset({"Panic"}))
    found = Policy((rule,), omit_stages=frozenset({"RequestReceived"})).verdict(resource())
    assert found.omit_stages == {"Panic", "RequestReceived"}


@pytest.mark.parametrize(
    ("policy", "rule", "omits"),
    [(False, None, False), (True, None, True), (True, False, False), (False, True, True)],
)
def test_a_rule_goes_before_the_policy_on_managed_fields(policy: bool, rule: bool | None, omits: bool) -> None:
    found = Policy((Rule(Level.REQUEST, omit_managed_fields=rule),), omit_managed_fields=policy).verdict(resource())
    assert found.omit_managed_fields is omits


texts = st.sampled_from(["", "a", "b", "pods", "pods/log", "*", "*/log", "pods/*", "get", "jane", "team"])
sets = st.frozensets(texts, max_size=2)
resources = st.builds(GroupResources, texts, st.lists(texts, max_size=2).map(tuple), sets)
rules = st.builds(
    Rule,
    st.sampled_from(Level),
    sets,
    sets,
    sets,
    st.lists(resources, max_size=2).map(tuple),
    sets,
    st.lists(texts, max_size=2).map(tuple),
    st.frozensets(st.sampled_from(STAGES)),
    st.none() | st.booleans(),
)
users = st.builds(User, texts, st.lists(texts, max_size=2).map(tuple))
asked = st.builds(Attributes, users, texts, texts, texts, texts, texts, texts, texts, st.none() | texts)


@given(st.lists(rules, max_size=4), asked)
def test_rules_behind_the_first_that_matches_change_nothing(listed: list[Rule], question: Attributes) -> None:
    found = Policy(tuple(listed)).verdict(question)
    matching = [rule for rule in listed if rule.match(question)]
    assert found.level == (matching[0].level if matching else Level.NONE)
    assert found == Policy(tuple(matching[:1])).verdict(question)


@given(rules, asked)
def test_a_rule_with_more_conditions_matches_no_more(rule: Rule, question: Attributes) -> None:
    if rule.match(question):
        assert rule._replace(users=frozenset()).match(question)
        assert rule._replace(groups=frozenset()).match(question)
        assert rule._replace(verbs=frozenset()).match(question)
