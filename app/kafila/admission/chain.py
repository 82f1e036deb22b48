"""The order of admission: mutating rules before validation, validating ones after it; Kubernetes' own, then Karmada's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from kafila.catalog.kind import Kind
from kafila.core.feature_gates import DEFAULT_GATES, Gates
from kafila.core.values import Object

from . import builtin
from .karmada import rules
from .karmada.context import NOTHING, AdmissionContext
from .karmada.withdrawal import withdrawals
from .unacted import unacted

# kind, new object, old object, user; raises StatusError
Escalation = Callable[[str, Object, Object | None, Any], None]
Signing = Callable[[Object, Object, Any], None]  # new object, old object, user; raises StatusError
_RBAC: Final = "rbac.authorization.k8s.io"
_REQUESTS: Final = "certificatesigningrequests.certificates.k8s.io"


@final
class Admission:
    """``gates``: the feature gates that are on; ``around``: what Karmada's rules read beside the object;
    ``objects``: all objects of a resource that are there; ``escalation``: asked about every role and binding that is written; ``signing``: about every
    certificate request that is changed.
    """

    def __init__(
        self,
        gates: Gates = DEFAULT_GATES,
        around: AdmissionContext = NOTHING,
        objects: builtin.Objects = builtin.nothing,
        escalation: Escalation | None = None,
        signing: Signing | None = None,
    ) -> None:
        self._gates = gates
        self._around = around
        self._objects = objects
        self._escalation = escalation
        self._signing = signing

    def mutate(self, kind: Kind, operation: str, new: Object, old: Object | None, user: Any) -> None:
        """Changes ``new`` in place. ``operation`` is CREATE or UPDATE. Raises StatusError 403, 404: before it is validated."""
        builtin.mutate(kind, operation, new, old, self._objects)
        rules.mutate(kind, operation, new, old, user, self._gates)
        if self._escalation is not None and kind.group == _RBAC:
            self._escalation(kind.kind, new, old, user)

    def admit(self, kind: Kind, operation: str, new: Object | None, old: Object | None, user: Any) -> None:
        """Raises StatusError when the write is not allowed. ``operation`` is CREATE, UPDATE or DELETE."""
        builtin.admit(kind, operation, new, old, self._objects)
        if self._signing is not None and kind.resource == _REQUESTS and new is not None and old is not None:
            self._signing(new, old, user)
        rules.admit(kind, operation, new, old, user, self._gates, self._around)

    def warn(self, kind: Kind, new: Object, old: Object | None) -> list[str]:
        """What somebody who writes this should know; ``old`` is None for a new object."""
        found = unacted(kind, new, self._gates)
        if old is not None and kind.resource in _PROPAGATION:
            found += withdrawals(new, old, self._around)
        return found


_PROPAGATION: Final = ("propagationpolicies.policy.karmada.io", "clusterpropagationpolicies.policy.karmada.io")
DEFAULT: Final = Admission()
