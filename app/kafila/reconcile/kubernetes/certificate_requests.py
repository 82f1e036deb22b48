"""CertificateSigningRequests: signed when they are approved, and gone when nobody needs them (kube-controller-manager's csrsigning and
csrcleaner controllers)."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, final

import structlog
from cryptography import x509

from kafila.core.clock import parse_rfc3339, rfc3339
from kafila.core.conditions import conditions_of
from kafila.core.errors import ignoring_not_found
from kafila.core.values import Object
from kafila.identity.authority import Authority
from kafila.identity.requests import SIGNERS, NotSigned, common_name, lifetime_of, read, signed
from kafila.reconcile.controller import ResourceController
from kafila.reconcile.queue import Requeue
from kafila.registry import Options, Registry
from kafila.registry.context import DeleteOptions

log = structlog.get_logger(__name__)
RESOURCE: Final = "certificatesigningrequests.certificates.k8s.io"
OPTIONS: Final = Options(manager="kube-controller-manager")
APPROVED_KEPT: Final = 3600.0  # seconds that a request is kept which has its certificate, or is denied or failed
PENDING_KEPT: Final = 24 * 3600.0  # and one that waits, for approval or for its certificate


def condition(obj: Object, type: str) -> Object | None:
    return next((c for c in conditions_of(obj) if c.get("type") == type and c.get("status", "True") == "True"), None)


@final
class CertificateSigning(ResourceController):
    """``authority``: what signs now, None where this process has no keys. ``lifetime``: of a certificate that asks for no other."""

    name = "csrsigning"
    about = RESOURCE

    def __init__(self, registry: Registry, authority: Callable[[], Authority] | None, lifetime: timedelta) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._authority = authority
        self._lifetime = lifetime
        self._kind = registry.kind("certificates.k8s.io", "v1", "certificatesigningrequests")

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(RESOURCE, "", name)
        if entry is None or self._authority is None:
            return
        obj = entry.decode()
        if not is_to_be_signed(obj):
            return
        status = self._signed(obj, self._authority())

        def written(current: Object) -> Object:
            return {**current, "status": status} if is_to_be_signed(current) else current

        await self._registry.modify(self._kind, "", name, written, OPTIONS, "status")

    def _signed(self, obj: Object, authority: Authority) -> Object:
        """Its status, with the certificate or with why there is none."""
        spec, status = obj["spec"], obj.get("status") or {}
        try:
            request, usages = read(base64.b64decode(spec["request"])), spec.get("usages") or ()
            SIGNERS[spec["signerName"]](request, usages)
            lifetime = lifetime_of(spec.get("expirationSeconds"), self._lifetime, common_name(request))
            found = signed(request, usages, lifetime, authority.pair, datetime.now(UTC)) + authority.chain
        except (NotSigned, ValueError) as error:
            failed = {
                "type": "Failed",
                "status": "True",
                "reason": "SignerValidationFailure",
                "message": str(error),
                "lastUpdateTime": rfc3339(),
                "lastTransitionTime": rfc3339(),
            }
            return {**status, "conditions": [*conditions_of(obj), failed]}
        log.info("certificate signed", request=obj["metadata"]["name"], signer=spec["signerName"])
        return {**status, "certificate": base64.b64encode(found).decode()}


def is_to_be_signed(obj: Object) -> bool:
    if (obj.get("spec") or {}).get("signerName") not in SIGNERS or (obj.get("status") or {}).get("certificate"):
        return False
    approved = condition(obj, "Approved") is not None and condition(obj, "Denied") is None
    return approved and condition(obj, "Failed") is None


@final
class CertificateRequestCleaner(ResourceController):
    name = "csrcleaner"
    about = RESOURCE

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry.cache, self.name)
        self._registry = registry
        self._kind = registry.kind("certificates.k8s.io", "v1", "certificatesigningrequests")

    async def _reconcile(self, name: str) -> None:
        entry = self._registry.cache.get(RESOURCE, "", name)
        if entry is None or entry.meta.deletionTimestamp:
            return
        left = end_of(entry.decode()) - time.time()
        if left > 0:
            raise Requeue(left + 0.001, timed=True)
        options = DeleteOptions(uid=entry.meta.uid, resource_version=str(entry.revision))
        with ignoring_not_found():
            await self._registry.delete(self._kind, "", name, options)


def end_of(obj: Object) -> float:
    """When nobody needs it any more, in Unix seconds."""
    status = obj.get("status") or {}
    ends = []
    for found in conditions_of(obj):
        since = parse_rfc3339(found.get("lastUpdateTime") or obj["metadata"]["creationTimestamp"])
        if found.get("type") in ("Denied", "Failed") or status.get("certificate"):
            ends.append(since + APPROVED_KEPT)
        elif found.get("type") == "Approved":
            ends.append(since + PENDING_KEPT)
    if status.get("certificate") and (end := _expiry(status["certificate"])) is not None:
        ends.append(end)
    return min(ends, default=parse_rfc3339(obj["metadata"]["creationTimestamp"]) + PENDING_KEPT)


def _expiry(certificate: str) -> float | None:
    try:
        found = x509.load_pem_x509_certificates(base64.b64decode(certificate))
    except ValueError:
        return None
    return found[0].not_valid_after_utc.timestamp()
