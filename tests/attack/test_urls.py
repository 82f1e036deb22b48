"""Addresses that users write down and we connect to: refused where they are written, in Go's words."""

from __future__ import annotations

from typing import Any

import pytest

CLUSTERS = "/apis/cluster.karmada.io/v1alpha1/clusters"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
BAD = [
    ("https://a\r\nX: y", "net/url: invalid control character in URL"),
    ("https://a\tb", "net/url: invalid control character in URL"),
    ("https://a b", 'invalid character " " in host name'),
    ("https://a:99999", "port is not valid: must be between 1 and 65535, inclusive"),
    ("https://a:0", "port is not valid: must be between 1 and 65535, inclusive"),
    ("https://a:1x", 'invalid port ":1x" after host'),
    ("https://[::1", "missing ']' in host"),
    ("https://a%0d%0ab", 'invalid URL escape "%0d"'),
]


def cluster(**spec: Any) -> dict[str, Any]:
    given = {"syncMode": "Push", "apiEndpoint": "https://a", **spec}
    return {"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "m1"}, "spec": given}


def hook(url: str) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]}
    webhook = {
        "name": "a.b.c",
        "clientConfig": {"url": url},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    return {**kind, "metadata": {"name": "a"}, "webhooks": [webhook]}


def refusal(answer: Any) -> str:
    status = answer.json()
    assert (answer.status_code, status["reason"]) == (422, "Invalid"), answer.text
    return str(status["message"])


@pytest.mark.parametrize(("url", "why"), BAD)
async def test_addresses_that_are_none(api: Any, url: str, why: str) -> None:
    assert why in refusal(await api.post(CLUSTERS, cluster(apiEndpoint=url)))
    assert why in refusal(await api.post(CLUSTERS, cluster(proxyURL=url)))
    assert why in refusal(await api.post(HOOKS, hook(url)))


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", "javascript", "unix"])
async def test_foreign_schemes(api: Any, scheme: str) -> None:
    why = f'unsupported scheme "{scheme}", must be http'
    assert why in refusal(await api.post(CLUSTERS, cluster(apiEndpoint=f"{scheme}://a")))
    assert why in refusal(await api.post(CLUSTERS, cluster(proxyURL=f"{scheme}://a")))
    assert "'https' is the only allowed URL scheme" in refusal(await api.post(HOOKS, hook(f"{scheme}://a")))


@pytest.mark.parametrize("url", ["https://a", "https://a:443/k8s/c-1/", "http://10.0.0.1:8080", "https://[::1]:6443"])
async def test_addresses_that_are_some(api: Any, url: str) -> None:
    await api.made(CLUSTERS, cluster(apiEndpoint=url, proxyURL=url))
