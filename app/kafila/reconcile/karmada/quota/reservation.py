"""What a write of a ResourceBinding costs of the FederatedResourceQuotas of its namespace, paid in the same commit."""

from __future__ import annotations

from typing import Any, final

from kafila.admission.karmada.errors import Denied, denied
from kafila.core.feature_gates import FEDERATED_QUOTA_ENFORCEMENT
from kafila.placement import constants
from kafila.placement.detector.binding import BindingError
from kafila.placement.quota import QuotaExceeded, quota_updates
from kafila.reconcile.karmada.federation import Federation
from kafila.registry import Options
from kafila.registry.codec import decode_entry
from kafila.registry.context import Change

from .controller import QUOTAS

Object = dict[str, Any]
OPTIONS = Options(manager="karmada-webhook")


@final
class QuotaReservation:
    def __init__(self, federation: Federation) -> None:
        self._registry = federation.registry
        self._kind = self._registry.kind("policy.karmada.io", "v1alpha1", "federatedresourcequotas")
        self._enforced = FEDERATED_QUOTA_ENFORCEMENT in federation.gates

    def refusal(self, binding: Object, before: Object | None) -> str:
        """The message when a quota does not allow the binding, else ""."""
        try:
            self.of(binding, before)
        except BindingError as error:
            return str(error)
        return ""

    def of(self, binding: Object, before: Object | None) -> list[Change]:
        """Raises BindingError when a quota is exceeded."""
        namespace = binding["metadata"].get("namespace")
        if not self._enforced or not namespace or binding is before:
            return []
        entries = {entry.key.name: entry for entry in self._registry.cache.resource(QUOTAS).entries(namespace)}
        if not entries:
            return []
        quotas = [decode_entry(self._kind, entry) for entry in entries.values()]
        try:
            charged = quota_updates(binding, before, quotas)
        except QuotaExceeded as exceeded:
            refusal = Denied(str(exceeded), constants.REASON_QUOTA_EXCEEDED)
            raise BindingError(str(denied("resourcebinding.karmada.io", refusal))) from None
        return [self._staged(entries[quota["metadata"]["name"]], quota, used) for quota, used in charged]

    def _staged(self, entry: Any, quota: Object, used: dict[str, str]) -> Change:
        status = {**(quota.get("status") or {}), "overallUsed": used}
        return self._registry.stage_update(self._kind, entry, {**quota, "status": status}, OPTIONS, "status")
