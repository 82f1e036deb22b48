"""What types say of ValidatingAdmissionPolicies: ``status.typeChecking`` (kube-controller-manager's validatingadmissionpolicy-status)."""

from __future__ import annotations

import time
from typing import Final, final

from kafila.admission.policies.policy import POLICIES
from kafila.admission.policies.typechecking import expression_warnings
from kafila.core.values import Object
from kafila.reconcile.controller import ResourceController
from kafila.registry import Options, Registry
from kafila.registry.patching import Patch
from kafila.registry.threads import HUGE, in_thread

OPTIONS: Final = Options(manager="validatingadmissionpolicy-status", force=True)


@final
class PolicyTypes(ResourceController):
    """Each generation of a policy is looked at once, with the kinds that are there then."""

    name = "validatingadmissionpolicy-status"
    about = POLICIES

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies")

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(POLICIES, "", name)
        if entry is None or entry.meta.deletionTimestamp:
            return
        policy = entry.decode()
        generation = policy["metadata"].get("generation") or 0
        if generation <= ((policy.get("status") or {}).get("observedGeneration") or 0):
            return
        number = time.time_ns() % 1_000_000_000  # tells types of one name apart in texts
        catalog, spec = self._registry.catalog, policy.get("spec") or {}
        warnings = await in_thread(HUGE, lambda: expression_warnings(spec, catalog, number))
        checked: Object = {"expressionWarnings": warnings} if warnings else {}
        document = {
            "apiVersion": self._kind.api_version,
            "kind": self._kind.kind,
            "metadata": {"name": name, "uid": policy["metadata"]["uid"]},
            "status": {"observedGeneration": generation, "typeChecking": checked},
        }
        await self._registry.patch(self._kind, "", name, Patch("apply", document), OPTIONS, "status")
