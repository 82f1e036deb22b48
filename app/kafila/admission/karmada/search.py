"""Where a ResourceRegistry has objects written to, and as whom: who writes that may read those credentials. Karmada does not ask."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from kafila.core import errors
from kafila.core.values import Object

from .context import AdmissionContext

RESOURCE: Final = "resourceregistries.search.karmada.io"


def admit_registry(new: Object, old: Object | None, user: Any, around: AdmissionContext) -> None:
    """Raises StatusError 403. Also where only the address is another: the credentials go there."""
    store = _store(new)
    if old is not None and _store(old) == store:
        return
    reference = store.get("secretRef") or {}
    namespace, name = reference.get("namespace") or "", reference.get("name") or ""
    if namespace and name and not around.may(user, "get", "", "secrets", namespace, name):
        why = (
            f'spec.backendStore.openSearch.secretRef: User "{user.name}" cannot get resource "secrets" in API group ""'
        )
        text = f'{why} in the namespace "{namespace}"'
        group = RESOURCE.partition(".")[2]
        raise errors.forbidden(group, "resourceregistries", new["metadata"].get("name") or "", text)


def unsafe_addresses(new: Object) -> list[str]:
    """A warning for addresses that show what nobody shall see."""
    found = []
    for index, address in enumerate(_store(new).get("addresses") or ()):
        parts, path = urlsplit(address), f"spec.backendStore.openSearch.addresses[{index}]"
        if parts.scheme == "http":
            found.append(f"{path}: credentials and members' objects are sent in clear: use https")
        if parts.username or parts.password:
            found.append(f"{path}: whoever may read this object sees its credentials: use secretRef")
    return found


def _store(obj: Object) -> dict[str, Any]:
    return ((obj.get("spec") or {}).get("backendStore") or {}).get("openSearch") or {}
