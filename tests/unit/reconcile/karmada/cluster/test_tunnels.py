"""What a Cluster says of its agent's tunnel."""

from __future__ import annotations

import pytest

from kafila.core.conditions import condition
from kafila.core.tunnels import Route
from kafila.core.values import Object
from kafila.reconcile.karmada.cluster.tunnels import same, wanted

ROUTE = Route("s", "10.0.0.1:5443", "https://10.96.0.1", "", 0.0, 100.0, 0)
OPEN = condition("kafila.io/TunnelConnected", "True", "TunnelConnected", "the agent's tunnel ends in 10.0.0.1:5443")
QUICK = {**OPEN, "message": "the agent's tunnel ends in 10.0.0.1:5443, and answers within 20ms"}
CLOSED = condition(
    "kafila.io/TunnelConnected",
    "False",
    "TunnelDisconnected",
    "the agent has no tunnel open: logs, exec and the proxy do not reach it",
)


@pytest.mark.parametrize(
    ("route", "pulled", "before", "after"),
    [
        (None, True, None, None),  # karmada-agent has none, and nothing is said
        (ROUTE, True, None, OPEN),
        (ROUTE._replace(latency=11), True, None, QUICK),
        (ROUTE._replace(latency=19), True, QUICK, QUICK),  # in steps: it is not written for every ping
        (None, True, OPEN, CLOSED),
        (ROUTE, False, OPEN, CLOSED),  # it is in push mode now
        (ROUTE, False, None, None),
        (None, True, CLOSED, CLOSED),
    ],
)
def test_the_condition(route: Route | None, pulled: bool, before: Object | None, after: Object | None) -> None:
    assert wanted(route, pulled, before) == after


def test_what_is_the_same_is_not_written() -> None:
    assert same({**OPEN, "lastTransitionTime": "2026-01-01T00:00:00Z"}, OPEN)
    assert not same(None, OPEN)
    assert not same(OPEN, QUICK)
