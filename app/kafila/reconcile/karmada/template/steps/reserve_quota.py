"""What the binding takes of the FederatedResourceQuotas of its namespace; it is counted in the same commit."""

from __future__ import annotations

from kafila.admission.karmada.errors import Denied, denied
from kafila.core.feature_gates import FEDERATED_QUOTA_ENFORCEMENT
from kafila.placement import constants
from kafila.placement.detector.binding import BindingError
from kafila.placement.quota import QuotaExceeded, quota_updates
from kafila.placement.types import Binding

from .facts import Facts
from .state import Reservation, State


def reserve_quota(state: State, facts: Facts) -> State:
    """Raises BindingError when a quota is exceeded."""
    return state._replace(reservations=_reservations(state.binding, state.before, facts))


def quota_refusal(binding: Binding, before: Binding | None, facts: Facts) -> str:
    """The message when a quota does not allow the binding, else ""."""
    try:
        _reservations(binding, before, facts)
    except BindingError as error:
        return str(error)
    return ""


def _reservations(binding: Binding, before: Binding | None, facts: Facts) -> tuple[Reservation, ...]:
    namespace = binding["metadata"].get("namespace")
    if FEDERATED_QUOTA_ENFORCEMENT not in facts.gates or not namespace or binding is before:
        return ()
    quotas = {quota.obj["metadata"]["name"]: quota for quota in facts.quotas(namespace)}
    if not quotas:
        return ()
    try:
        charged = quota_updates(binding, before, [quota.obj for quota in quotas.values()])
    except QuotaExceeded as exceeded:
        refusal = Denied(str(exceeded), constants.REASON_QUOTA_EXCEEDED)
        raise BindingError(str(denied("resourcebinding.karmada.io", refusal))) from None
    return tuple(Reservation(quotas[quota["metadata"]["name"]], used) for quota, used in charged)
