"""Which webhooks a request is shown to, and as what."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.admission.webhooks import Index, hooks_of
from kafila.catalog.catalog import load_catalog
from kafila.core.values import Object

CATALOG = load_catalog()


def configuration(name: str = "c", *hooks: str, **rule: Any) -> Object:
    whole = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], **rule}
    client = {"url": "https://example.org"}
    return {
        "metadata": {"name": name},
        "webhooks": [{"name": hook, "rules": [whole], "clientConfig": client} for hook in hooks or ("a.b.c",)],
    }


def shown(made: Object, group: str, version: str, plural: str, subresource: str = "", operation: str = "CREATE") -> str:
    kind = CATALOG.get(group, version, plural)
    assert kind is not None
    return " ".join(str(call.shown) for call in Index(hooks_of([made]), CATALOG).calls(kind, subresource, operation))


@pytest.mark.parametrize(
    ("rule", "asked", "expected"),
    [
        ({}, ("", "v1", "pods"), "/v1, Kind=Pod"),
        ({}, ("", "v1", "pods", "status", "UPDATE"), ""),
        ({"resources": ["*/*"]}, ("", "v1", "pods", "status", "UPDATE"), "/v1, Kind=Pod"),
        ({"resources": ["*/*"]}, ("", "v1", "pods", "eviction"), "policy/v1, Kind=Eviction"),
        ({"resources": ["*/scale"]}, ("apps", "v1", "deployments", "scale"), "autoscaling/v1, Kind=Scale"),
        ({"resources": ["pods/*"]}, ("", "v1", "pods"), "/v1, Kind=Pod"),
        ({"resources": ["pods/*"]}, ("", "v1", "pods", "exec", "CONNECT"), "/v1, Kind=PodExecOptions"),
        ({"operations": ["UPDATE", "DELETE"]}, ("", "v1", "pods"), ""),
        ({"apiGroups": ["apps"]}, ("", "v1", "pods"), ""),
        ({"scope": "Cluster"}, ("", "v1", "pods"), ""),
        ({"scope": "Cluster"}, ("", "v1", "namespaces"), "/v1, Kind=Namespace"),
        ({"scope": "Namespaced"}, ("", "v1", "namespaces"), ""),
        ({"apiGroups": ["autoscaling"], "apiVersions": ["v2"]}, ("autoscaling", "v1", "horizontalpodautoscalers"), "autoscaling/v2, Kind=HorizontalPodAutoscaler"),
        ({"apiGroups": ["events.k8s.io"]}, ("", "v1", "events"), "events.k8s.io/v1, Kind=Event"),
        ({"apiVersions": ["v9"]}, ("", "v1", "pods"), ""),
        ({}, ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"), ""),
        ({}, ("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"), ""),
        ({}, ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings"), ""),
    ],
)  # fmt: skip
def test_what_rules_name(rule: Object, asked: tuple[str, ...], expected: str) -> None:
    assert shown(configuration(**rule), *asked) == expected


def test_the_order_in_which_they_are_asked() -> None:
    made = [configuration("b", "x.b.c", "a.b.c"), configuration("a", "z.b.c")]
    assert [hook.name for hook in hooks_of(made)] == ["z.b.c", "x.b.c", "a.b.c"]
    assert [hook.uid for hook in hooks_of([configuration("a", "x.b.c", "x.b.c")])] == ["a/x.b.c/0", "a/x.b.c/1"]


def test_without_configurations_nothing_is_looked_at() -> None:
    kind = CATALOG.get("", "v1", "pods")
    assert kind is not None
    index = Index((), CATALOG)
    assert (bool(index), index.calls(kind, "", "CREATE")) == (False, ())
