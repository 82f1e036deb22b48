from __future__ import annotations

import pytest

from kafila.reconcile.karmada.template.steps.template_state import Action, Stop, StoredBinding
from kafila.reconcile.karmada.template.steps.wait_for_deletion import wait_for_deletion

from .given_policies import GivenPolicies, state


@pytest.mark.parametrize("binding", [StoredBinding.NONE, StoredBinding.OWN])
def test_others_are_not_waited_for(binding: StoredBinding) -> None:
    asked = state(binding=binding)
    assert wait_for_deletion(asked, GivenPolicies()) is asked


def test_a_binding_that_is_being_deleted_is_waited_for() -> None:
    asked = state(binding=StoredBinding.DELETING)
    assert wait_for_deletion(asked, GivenPolicies()) == Stop(asked, Action.WAIT_FOR_DELETION)
