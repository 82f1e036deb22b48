"""IP families of Services: only IPv4 is given out, which kube-apiserver says in the same words on such a cluster."""

from __future__ import annotations

import pytest

from kafila.core.values import Object
from kafila.registry import ip_families


@pytest.mark.parametrize(
    ("spec", "policy", "there"),
    [
        ({"selector": {"a": "b"}}, "SingleStack", ["IPv4"]),
        ({"selector": {"a": "b"}, "ipFamilyPolicy": "PreferDualStack"}, "PreferDualStack", ["IPv4"]),
        ({"clusterIP": "None", "clusterIPs": ["None"], "selector": {"a": "b"}}, "SingleStack", ["IPv4"]),
        ({"clusterIP": "None", "clusterIPs": ["None"]}, "RequireDualStack", ["IPv4", "IPv6"]),
        (
            {"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"},
            "SingleStack",
            ["IPv6"],
        ),
    ],
)
def test_families_are_filled_in(spec: Object, policy: str, there: list[str]) -> None:
    assert ip_families.init_fields(spec, {}) == []
    assert (spec["ipFamilyPolicy"], spec["ipFamilies"]) == (policy, there)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"selector": {"a": "b"}, "ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
        ),
        ({"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        (
            {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"},
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' "
            "when multiple IP families are specified",
        ),
    ],
)
def test_what_one_family_cannot_be(spec: Object, why: str) -> None:
    assert [str(error) for error in ip_families.init_fields(spec, {})] == [why]


def test_the_policy_stays() -> None:
    spec: Object = {"selector": {"a": "b"}}
    assert ip_families.init_fields(spec, {"ipFamilyPolicy": "PreferDualStack"}) == []
    assert spec["ipFamilyPolicy"] == "PreferDualStack"
