"""Which policy a template follows."""

from __future__ import annotations

from typing import Any, final

from kafila.core import feature_gates as feature
from kafila.core.resources import Key
from kafila.placement.detector import binding as bindings
from kafila.placement.detector.match import choose_policy, preempting
from kafila.reconcile.karmada.federation import Federation
from kafila.reconcile.karmada.propagation_policies import CLUSTER_POLICIES, POLICIES, PolicyIndex

from .changes import EnqueueReason

Object = dict[str, Any]


@final
class PolicySelection:
    def __init__(self, federation: Federation, policies: PolicyIndex) -> None:
        self._federation = federation
        self._policies = policies

    def of(self, template: Object, why: EnqueueReason) -> tuple[Object | None, bool]:
        """The policy that has claimed the template, as long as it selects it, else the best that does; without one, whether
        the claim is over: a template that its policy no longer selects stays claimed until that policy is looked at."""
        claimed = bindings.claimed_by(template)
        own, cluster_wide = self._policies.candidates(template)
        if claimed is not None:
            namespace, name, policy_id = claimed
            policy = self._policies.get(Key(POLICIES if namespace else CLUSTER_POLICIES, namespace, name))
            if policy is not None and not policy["metadata"].get("deletionTimestamp"):
                if policy_id in (policy["metadata"].get("labels") or {}).values():
                    winner = self._winner(template, policy, own, cluster_wide)
                    if winner is not policy or bindings.still_matches(template, policy):
                        return winner, False
                    if not why & (EnqueueReason.CLAIMING_POLICY | EnqueueReason.START):
                        return None, False
        policy = choose_policy(template, own, cluster_wide).policy
        return policy, policy is None

    def _winner(self, template: Object, claimed: Object, own: list[Object], cluster_wide: list[Object]) -> Object:
        if feature.POLICY_PREEMPTION not in self._federation.gates:
            return claimed
        taking = preempting(template, claimed, own, cluster_wide)
        if taking is None:
            return claimed
        self._federation.recorder.event(template, *bindings.preempted_event(taking, claimed))
        return taking
