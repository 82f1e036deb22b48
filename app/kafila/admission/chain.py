"""The order of admission: mutating rules before validation, validating ones after it; Kubernetes' own, then Karmada's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, final

from kafila.catalog.kind import Kind
from kafila.core.admission_plugins import ON
from kafila.core.feature_gates import DEFAULT_GATES, Gates
from kafila.core.values import Object
from kafila.placement.objects import annotations_of
from kafila.placement.placement_annotations import carried

from .karmada import rules
from .karmada.context import NOTHING, AdmissionContext
from .karmada.rights import POLICIES, beyond_limit
from .karmada.search import RESOURCE, unsafe_addresses
from .karmada.withdrawal import withdrawals
from .plugins.attributes import NOTHING as NO_LOOKUPS
from .plugins.attributes import Attributes, Lookups
from .plugins.table import rules_of
from .unacted import unacted

# kind, new object, old object, user; raises StatusError
Escalation = Callable[[str, Object, Object | None, Any], None]
Signing = Callable[[Object, Object, Any], None]  # new object, old object, user; raises StatusError
_POLICIES: Final = "admissionregistration.k8s.io"
_RBAC: Final = "rbac.authorization.k8s.io"
_REQUESTS: Final = "certificatesigningrequests.certificates.k8s.io"


@final
class Admission:
    """``gates``: the feature gates that are on; ``around``: what Karmada's rules read beside the object;
    ``look``: what plugins read, and ``plugins``: the names of those that are on; ``escalation``: asked about every role and binding that is written; ``signing``: about every
    certificate request that is changed; ``params``: about policies of admission that have parameters, and their bindings.
    """

    def __init__(
        self,
        gates: Gates = DEFAULT_GATES,
        around: AdmissionContext = NOTHING,
        look: Lookups = NO_LOOKUPS,
        plugins: Iterable[str] = ON,
        escalation: Escalation | None = None,
        signing: Signing | None = None,
        params: Escalation | None = None,
    ) -> None:
        self._gates = gates
        self._around = around
        self._look = look
        self.plugins = frozenset(plugins)
        self._rules = rules_of(self.plugins)
        self._escalation = escalation
        self._signing = signing
        self._params = params

    def mutate(
        self, kind: Kind, operation: str, new: Object, old: Object | None, user: Any, subresource: str = ""
    ) -> None:
        """Changes ``new`` in place. ``operation`` is CREATE or UPDATE. Raises StatusError 403, 404: before it is validated."""
        mutators = self._rules.mutators.get(kind.resource)
        if mutators is not None and isinstance(new.get("spec", {}), dict):
            asked = Attributes(kind, operation, new, old, user, subresource)
            for mutator in mutators:
                mutator(asked, self._look)
        rules.mutate(kind, operation, new, old, user, self._gates)
        if self._escalation is not None and kind.group == _RBAC:
            self._escalation(kind.kind, new, old, user)

    def admit(
        self, kind: Kind, operation: str, new: Object | None, old: Object | None, user: Any, subresource: str = ""
    ) -> list[str]:
        """Returns warnings. Raises StatusError when the write is not allowed. ``operation`` is CREATE, UPDATE or DELETE."""
        warnings: list[str] = []
        validators = self._rules.validators.get(kind.resource)
        if validators is not None and new is not None:
            asked = Attributes(kind, operation, new, old, user, subresource)
            for validator in validators:
                warnings.extend(validator(asked, self._look))
        if self._signing is not None and kind.resource == _REQUESTS and new is not None and old is not None:
            self._signing(new, old, user)
        if self._params is not None and kind.group == _POLICIES and new is not None:
            self._params(kind.kind, new, old, user)
        rules.admit(kind, operation, new, old, user, self._gates, self._around)
        return warnings

    def is_changed_by_annotations(self, kind: Kind, new: Object, old: Object) -> bool:
        """Though no generation rises: of a policy whose annotations add something else to its placement."""
        if kind.resource not in _PROPAGATION:
            return False
        return carried(annotations_of(new)) != carried(annotations_of(old))

    def warn(self, kind: Kind, new: Object, old: Object | None) -> list[str]:
        """What somebody who writes this should know; ``old`` is None for a new object."""
        found = unacted(kind, new, self._gates)
        if old is not None and kind.resource in _PROPAGATION:
            found += withdrawals(new, old, self._around)
        if kind.resource == POLICIES:
            found += beyond_limit(new, old, self._around)
        if kind.resource == RESOURCE:
            found += unsafe_addresses(new)
        return found


_PROPAGATION: Final = (POLICIES, "clusterpropagationpolicies.policy.karmada.io")
DEFAULT: Final = Admission()
