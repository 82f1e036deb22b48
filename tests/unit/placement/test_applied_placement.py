import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.placement.applied_placement import placement_text
from kafila.placement.gojson import raw, string
from kafila.placement.override.applied import Applied, applied_text


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ({}, "{}"),
        ({"clusterAffinity": {}}, '{"clusterAffinity":{}}'),
        (
            {"clusterAffinity": {"exclude": ["a"], "clusterNames": ["b"]}},
            '{"clusterAffinity":{"clusterNames":["b"],"exclude":["a"]}}',
        ),
        ({"clusterAffinity": {"clusterNames": []}}, '{"clusterAffinity":{}}'),
        (
            {"clusterAffinity": {"labelSelector": {"matchLabels": {"b": "2", "a": "1"}}, "fieldSelector": {}}},
            '{"clusterAffinity":{"labelSelector":{"matchLabels":{"a":"1","b":"2"}},"fieldSelector":{}}}',
        ),
        (
            {
                "clusterAffinities": [
                    {"clusterNames": ["a"], "affinityName": "x", "overflowAffinities": [{"affinityName": "y"}]}
                ]
            },
            '{"clusterAffinities":[{"affinityName":"x","clusterNames":["a"],"overflowAffinities":[{"affinityName":"y"}]}]}',
        ),
        (
            {"spreadConstraints": [{"minGroups": 1, "maxGroups": 0, "spreadByField": "cluster"}]},
            '{"spreadConstraints":[{"spreadByField":"cluster","minGroups":1}]}',
        ),
        (
            {"clusterTolerations": [{"tolerationSeconds": 0, "effect": "NoExecute", "key": "k"}]},
            '{"clusterTolerations":[{"key":"k","effect":"NoExecute","tolerationSeconds":0}]}',
        ),
        (
            {
                "replicaScheduling": {
                    "weightPreference": {"staticWeightList": [{"weight": 2, "targetCluster": {}}]},
                    "replicaSchedulingType": "Divided",
                    "replicaDivisionPreference": "Weighted",
                },
                "clusterAffinity": {"clusterNames": ["a<b"]},
            },
            '{"clusterAffinity":{"clusterNames":["a\\u003cb"]},"replicaScheduling":{"replicaSchedulingType":"Divided",'
            '"replicaDivisionPreference":"Weighted","weightPreference":{"staticWeightList":[{"targetCluster":{},"weight":2}]}}}',
        ),
    ],
)
def test_placements_are_written_as_go_writes_them(placement: dict[str, object], expected: str) -> None:
    assert placement_text(placement) == expected


def test_overrides_are_sorted_by_policy() -> None:
    one = Applied("b", {"plaintext": [{"value": {"b": 1, "a": [True]}, "operator": "add", "path": "/x"}]})
    two = Applied("a", {"plaintext": [{"path": "/y", "operator": "remove"}]})
    assert applied_text([one, two]) == (
        '[{"policyName":"a","overriders":{"plaintext":[{"path":"/y","operator":"remove","value":null}]}},'
        '{"policyName":"b","overriders":{"plaintext":[{"path":"/x","operator":"add","value":{"a":[true],"b":1}}]}}]'
    )
    assert applied_text([]) == ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_free_json_reads_back(value: object) -> None:
    assert json.loads(raw(value)) == value


def test_go_escapes_what_html_would_read() -> None:
    assert string('<a&b>"é\u2028') == '"\\u003ca\\u0026b\\u003e\\"é\\u2028"'
