from __future__ import annotations

from typing import Any

import pytest

from kafila.core.feature_gates import DEFAULT_GATES, FEDERATED_QUOTA_ENFORCEMENT
from kafila.placement.detector.binding import BindingError
from kafila.reconcile.karmada.template.steps.facts import StoredQuota
from kafila.reconcile.karmada.template.steps.reserve_quota import quota_refusal, reserve_quota

from .given import Given, placed, state, stored

EXCEEDED = "exceeded for resource cpu: requested sum 2, limit 1."


def quota(cpu: str, used: str = "0", **spec: Any) -> StoredQuota:
    return stored(
        {
            "metadata": {"name": "q", "namespace": "default"},
            "spec": {"overall": {"cpu": cpu}, **spec},
            "status": {"overall": {"cpu": cpu}, "overallUsed": {"cpu": used}},
        }
    )


def enforced(*quotas: StoredQuota) -> Given:
    return Given(gates=DEFAULT_GATES | {FEDERATED_QUOTA_ENFORCEMENT}, charged=quotas)


def test_a_binding_pays_for_its_replicas() -> None:
    charged = quota("10", used="1")
    (reservation,) = reserve_quota(state(binding=placed("m1", "m2")), enforced(charged)).reservations
    assert (reservation.quota, reservation.used) == (charged, {"cpu": "5"})


def test_what_does_not_change_costs_nothing() -> None:
    assert reserve_quota(state(placed("m1")), enforced(quota("1"))).reservations == ()


def test_without_the_gate_it_costs_nothing() -> None:
    assert reserve_quota(state(binding=placed("m1")), Given(charged=[quota("1")])).reservations == ()


def test_what_is_more_than_there_is_raises() -> None:
    facts = enforced(quota("1"))
    with pytest.raises(BindingError, match=EXCEEDED):
        reserve_quota(state(binding=placed("m1")), facts)
    assert EXCEEDED in quota_refusal(placed("m1"), None, facts)
    assert quota_refusal(placed("m1"), None, Given()) == ""
