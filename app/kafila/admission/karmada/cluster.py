"""Who may be a member, and with whose credentials. Karmada asks neither."""

from __future__ import annotations

from typing import Any, Final

from kafila.core import errors
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .agents import misnamed
from .context import AdmissionContext

RESOURCE: Final = "clusters.cluster.karmada.io"
_REFERENCES: Final = ("secretRef", "impersonatorSecretRef")
_WAYS: Final = (
    "apiEndpoint",
    "proxyURL",
    "proxyHeader",
    "insecureSkipTLSVerification",
)  # by which what is in them leaves


def admit_cluster(new: Object, old: Object | None, user: Any, around: AdmissionContext) -> None:
    """Raises StatusError 403, 422. What was there before is not asked about again, unless it is sent to somebody else."""
    spec, before, name = new.get("spec") or {}, (old or {}).get("spec") or {}, new["metadata"].get("name") or ""
    own = around.own_id() if spec.get("id") and spec["id"] != before.get("id") else ""
    if own and spec["id"] == own:
        why = "this is the control plane itself: objects would be placed over their own templates"
        raise errors.invalid("cluster.karmada.io", "Cluster", name, [FieldError.invalid("spec.id", own, why)])
    if found := misnamed(new, old):
        why = f"{found}: name it otherwise, or join it in Push mode"
        raise errors.invalid("cluster.karmada.io", "Cluster", name, [FieldError.invalid("metadata.name", name, why)])
    moves = any(spec.get(field) != before.get(field) for field in _WAYS)
    for field in _REFERENCES:
        reference = spec.get(field)
        if not reference or (reference == before.get(field) and not moves):
            continue
        namespace, secret = reference.get("namespace") or "", reference.get("name") or ""
        if not around.may(
            user, "get", "", "secrets", namespace, secret
        ):  # a member's address would be sent its contents
            why = f'spec.{field}: User "{user.name}" cannot get resource "secrets" {secret} in the namespace "{namespace}"'
            raise errors.forbidden("cluster.karmada.io", "clusters", name, why)
