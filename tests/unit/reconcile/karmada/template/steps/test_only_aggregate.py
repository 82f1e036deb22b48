from __future__ import annotations

import pytest

from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.steps.only_aggregate import only_aggregate
from kafila.reconcile.karmada.template.steps.template_state import Action, Stop, StoredBinding

from .given_policies import GivenPolicies, state


@pytest.mark.parametrize(
    ("binding", "action"), [(StoredBinding.OWN, Action.AGGREGATE), (StoredBinding.NONE, Action.NOTHING)]
)
def test_a_report_alone_decides_nothing(binding: StoredBinding, action: Action) -> None:
    asked = state(EnqueueReason.STATUS, binding)
    assert only_aggregate(asked, GivenPolicies()) == Stop(asked, action)


def test_any_other_reason_goes_on() -> None:
    asked = state(EnqueueReason.STATUS | EnqueueReason.DEPENDENCY, StoredBinding.OWN)
    assert only_aggregate(asked, GivenPolicies()) is asked
