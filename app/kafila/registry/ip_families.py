"""IP families of a Service where only IPv4 addresses are given out (initIPFamilyFields of Kubernetes' service registry)."""

from __future__ import annotations

from kafila.catalog.builtin.validation.service import check_addresses
from kafila.core.errors import FieldError
from kafila.core.values import Object

OURS = "IPv4"
_OTHER = {"IPv4": "IPv6", "IPv6": "IPv4"}


def init_fields(spec: Object, before: Object) -> list[FieldError]:
    """Fills ipFamilyPolicy and ipFamilies of a Service that has addresses; ``before``: its spec until now, {} when it is new."""
    policy = spec.get("ipFamilyPolicy") or before.get("ipFamilyPolicy")
    headless = spec.get("clusterIP") == "None"
    everywhere = headless and not spec.get("selector")  # who has neither address nor pods may be of any family
    if not policy:
        policy = "RequireDualStack" if everywhere else "SingleStack"
    spec["ipFamilyPolicy"] = policy
    found: list[FieldError] = []
    check_addresses(spec, headless, found)
    if found:
        return found
    addresses, families = spec.get("clusterIPs") or [], list(spec.get("ipFamilies") or ())
    if policy == "SingleStack":
        found = _check_single(addresses, families, policy)
    for i, address in enumerate(addresses if not headless else ()):
        family = "IPv6" if ":" in address else "IPv4"
        if i >= len(families):
            if family != OURS:
                text = f"{family} is not configured on this cluster"
                found.append(FieldError.invalid(f"spec.clusterIPs[{i}]", addresses, text))
            else:
                families.append(family)
    if found:
        return found
    if everywhere:
        families = families or [OURS]
        if len(families) < 2 and policy != "SingleStack":
            families.append(_OTHER[families[0]])
    else:
        if policy == "RequireDualStack":
            text = "this cluster is not configured for dual-stack services"
            found.append(FieldError.invalid("spec.ipFamilyPolicy", policy, text))
        for i, family in enumerate(families):
            if family != OURS:
                found.append(FieldError.invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster"))
    spec["ipFamilies"] = families or [OURS]
    return found


def _check_single(addresses: list[str], families: list[str], policy: str) -> list[FieldError]:
    text = "must be 'RequireDualStack' or 'PreferDualStack' when multiple"
    found = []
    if len(addresses) == 2:
        found.append(FieldError.invalid("spec.ipFamilyPolicy", policy, f"{text} cluster IPs are specified"))
    if len(families) == 2:
        found.append(FieldError.invalid("spec.ipFamilyPolicy", policy, f"{text} IP families are specified"))
    return found
