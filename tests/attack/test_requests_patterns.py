"""Patterns of a CustomResourceDefinition: compiled apart, once, and no more of them than can be afforded."""

from __future__ import annotations

from typing import Any

import pytest
import re2

from kafila.core.values import Object
from kafila.machinery.structural.patterns import LEAST, MOST_INSTRUCTIONS, matcher, pattern_error
from tests.integration.api.conftest import MERGE_PATCH, Api, failure

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def with_patterns(patterns: list[str]) -> Object:
    properties = {f"p{i}": {"type": "string", "pattern": pattern} for i, pattern in enumerate(patterns)}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "foos", "kind": "Foo"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.x.y"},
        "spec": {"group": "x.y", "scope": "Cluster", "names": names, "versions": [version]},
    }


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The patterns that are compiled from here on."""
    found: list[str] = []
    original = re2._Regexp.__init__

    def noted(self: Any, pattern: str, options: Any) -> None:
        found.append(pattern)
        original(self, pattern, options)

    monkeypatch.setattr(re2._Regexp, "__init__", noted)
    return found


async def test_many_large_patterns_are_refused_after_a_few(api: Api, compiled: list[str]) -> None:
    patterns = [rf"[\pL\pN]{{1,{200 - i % 100}}}x{i}" for i in range(200)]
    answer = await api.post(DEFINITIONS, with_patterns(patterns))
    assert "the patterns compile to more than 1,000,000 instructions" in failure(answer, 422, "Invalid")["message"]
    assert 0 < len(compiled) < 30


@pytest.mark.parametrize("together", [True, False])
async def test_patterns_of_expressions_are_refused_after_a_few(api: Api, compiled: list[str], together: bool) -> None:
    """In one expression, or in one policy."""
    searches = [f"object.metadata.name.matches('[\\\\pL\\\\pN]{{1,{100 - i % 50}}}y{together}{i}')" for i in range(200)]
    expressions = [" || ".join(searches[i : i + 100]) for i in (0, 100)] if together else searches
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression} for expression in expressions],
    }
    body = {"metadata": {"name": "p"}, "spec": spec}
    answer = await api.post("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", body)
    assert (
        "error parsing regexp: expression too large: all patterns together"
        in failure(answer, 422, "Invalid")["message"]
    )
    assert 0 < len(compiled) < 30


async def test_many_small_patterns_are_refused(api: Api) -> None:
    answer = await api.post(DEFINITIONS, with_patterns([f"^a{i}$" for i in range(MOST_INSTRUCTIONS // LEAST + 1)]))
    assert failure(answer, 422, "Invalid")["details"]["causes"][0]["field"] == "spec.versions"


async def test_one_that_is_too_large_is_said_as_go_says_it(api: Api) -> None:
    answer = await api.post(DEFINITIONS, with_patterns([r"[\pL\pN]{1,1000}x"]))
    text = "must be a valid regular expression, but isn't: error parsing regexp: expression too large"
    assert text in failure(answer, 422, "Invalid")["message"]
    assert matcher(r"[\pL\pN]{1,1000}x")("?")  # one that was stored when more was allowed keeps nobody from writing


async def test_a_write_of_status_compiles_nothing(api: Api, compiled: list[str]) -> None:
    await api.made(DEFINITIONS, with_patterns([r"^never-seen-[\pL]{1,9}$"]))
    assert compiled == [r"^never-seen-[\pL]{1,9}$"]
    condition = {"type": "Established", "status": "True", "reason": "x", "message": "", "lastTransitionTime": None}
    for _ in range(2):
        answer = await api.patch(
            f"{DEFINITIONS}/foos.x.y/status", {"status": {"conditions": [condition]}}, type=MERGE_PATCH
        )
        assert answer.status_code == 200, answer.text
    assert len(compiled) == 1
    answer = await api.patch(f"{DEFINITIONS}/foos.x.y", {"metadata": {"labels": {"a": "b"}}}, type=MERGE_PATCH)
    assert answer.status_code == 200
    assert len(compiled) == 1  # it is remembered


def test_what_kubernetes_users_write_is_accepted() -> None:
    for pattern in (
        r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$",
        r"^.{1,1000}$",
        r"[\pL\pN]{1,100}",
    ):
        assert pattern_error(pattern) == ""
