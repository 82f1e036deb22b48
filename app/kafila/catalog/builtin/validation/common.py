"""Checks that many kinds share. They append to ``found``, so that the common case allocates nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from kafila.core import metadata as metadata_rules
from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

Found = list[FieldError]

invalid = FieldError.invalid
required = FieldError.required
forbidden = FieldError.forbidden
duplicate = FieldError.duplicate
not_found = FieldError.not_found
not_supported = FieldError.not_supported

NOT_NEGATIVE = names.NOT_NEGATIVE
NOT_POSITIVE = "must be greater than zero"
PROTOCOLS = ("SCTP", "TCP", "UDP")
MAX_INT32 = 2**31 - 1


def check_name(value: str, path: str, found: Found, rule: Callable[[str], list[str]] = names.dns1123_subdomain) -> None:
    for why in rule(value):
        found.append(invalid(path, value, why))


def check_not_negative(obj: Object, field: str, path: str, found: Found) -> None:
    value = obj.get(field)
    if value is not None and value < 0:
        found.append(invalid(f"{path}.{field}", value, NOT_NEGATIVE))


def check_enum(value: Any, allowed: Sequence[str], path: str, found: Found) -> None:
    """A value that must be given and be one of ``allowed``."""
    if value not in allowed:
        found.append(not_supported(path, value, allowed) if value else required(path))


def check_immutable(new: Any, old: Any, path: str, found: Found, message: str = names.IMMUTABLE) -> None:
    if new != old and not same(new, old):
        found.append(invalid(path, new, message))


def check_immutable_text(
    new: str | None, old: str | None, path: str, found: Found, message: str = names.IMMUTABLE
) -> None:
    """A field that Go holds as a string: nothing is ""."""
    if (new or "") != (old or ""):
        found.append(invalid(path, new or "", message))


def same(one: Any, other: Any) -> bool:
    """Equal, where nothing and an empty list or object are the same (Go's semantic equality)."""
    return one == other or _bare(one) == _bare(other)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        out = {key: bare for key, item in value.items() if (bare := _bare(item)) is not None}
        return out or None
    if isinstance(value, list):
        return [_bare(item) for item in value] or None
    return value


def check_port(value: int, path: str, found: Found) -> None:
    if not 1 <= value <= 65535:
        found.append(invalid(path, value, names.in_range(1, 65535)))


def check_port_or_name(value: int | str | None, path: str, found: Found) -> None:
    if isinstance(value, str):
        for why in names.port_name(value):
            found.append(invalid(path, value, why))
    else:
        check_port(value or 0, path, found)


def check_labels(labels: dict[str, str] | None, path: str, found: Found) -> None:
    if labels:
        found.extend(metadata_rules.validate_labels(labels, path))


def check_label_key(key: str, path: str, found: Found) -> None:
    for why in names.qualified_name(key):
        found.append(invalid(path, key, why))


# fields of ObjectMeta in Go's order, by their name there with a small first letter
_OBJECT_META = {
    "name": "name",
    "generateName": "generateName",
    "namespace": "namespace",
    "selfLink": "selfLink",
    "uid": "uID",
    "resourceVersion": "resourceVersion",
    "generation": "generation",
    "creationTimestamp": "creationTimestamp",
    "deletionTimestamp": "deletionTimestamp",
    "deletionGracePeriodSeconds": "deletionGracePeriodSeconds",
    "ownerReferences": "ownerReferences",
    "finalizers": "finalizers",
    "managedFields": "managedFields",
}


def check_template_metadata(metadata: Object, path: str, found: Found) -> None:
    """Metadata of what a controller will make: labels and annotations, and nothing else."""
    found.extend(metadata_rules.validate_annotations(metadata.get("annotations") or {}, f"{path}.annotations"))
    check_labels(metadata.get("labels"), f"{path}.labels", found)
    for field, shown in _OBJECT_META.items():
        if metadata.get(field):
            found.append(forbidden(f"{path}.{shown}", "cannot be set"))


# -- label selectors -------------------------------------------------------------------------------------------------------


def check_label_selector(selector: Object | None, path: str, found: Found) -> None:
    if not selector:
        return
    check_labels(selector.get("matchLabels"), f"{path}.matchLabels", found)
    for i, requirement in enumerate(selector.get("matchExpressions") or ()):
        _check_requirement(requirement, f"{path}.matchExpressions[{i}]", found)


def check_number_of_values(operator: str, values: Sequence[str] | None, path: str, found: Found) -> bool:
    """What an operator asks of ``path``.values. False: it is none of those that all selectors have."""
    if operator in ("In", "NotIn"):
        if not values:
            found.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(forbidden(f"{path}.values", text))
    else:
        return False
    return True


def _check_requirement(requirement: Object, path: str, found: Found) -> None:
    operator, values = requirement.get("operator") or "", requirement.get("values")
    if not check_number_of_values(operator, values, path, found):
        found.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    check_label_key(requirement.get("key") or "", f"{path}.key", found)
    for i, value in enumerate(values or ()):
        for why in names.label_value(value or ""):
            found.append(invalid(f"{path}.values[{i}]", value, why))


def is_empty_selector(selector: Object | None) -> bool:
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))


def selector_is_sound(selector: Object | None) -> bool:
    """Whether it can be turned into something that matches (operators are known and have their values)."""
    found: Found = []
    check_label_selector(selector, "", found)
    return not found


def selector_matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Nothing matches without a selector; an empty selector matches everything."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for requirement in selector.get("matchExpressions") or ():
        key, operator = requirement.get("key") or "", requirement.get("operator")
        values = requirement.get("values") or ()
        if operator == "In":
            ok = key in labels and labels[key] in values
        elif operator == "NotIn":
            ok = key not in labels or labels[key] not in values
        elif operator == "Exists":
            ok = key in labels
        elif operator == "DoesNotExist":
            ok = key not in labels
        else:
            return False
        if not ok:
            return False
    return True


# -- amounts ---------------------------------------------------------------------------------------------------------------


def check_int_or_percent(value: int | str | None, path: str, found: Found) -> None:
    """A count, or a percentage such as ``"25%"``."""
    if isinstance(value, str):
        for why in names.percent(value):
            found.append(invalid(path, value, why))
    elif value is not None and value < 0:
        found.append(invalid(path, value, NOT_NEGATIVE))


def check_at_most_100_percent(value: int | str | None, path: str, found: Found) -> None:
    if isinstance(value, str) and not names.percent(value) and len(value) > 3 and int_or_percent(value) > 100:
        found.append(invalid(path, value, "must not be greater than 100%"))


def int_or_percent(value: int | str | None) -> int:
    """The number in it, percent or not (Go's Atoi: 0 when it is none)."""
    if isinstance(value, str):
        digits = value[:-1] if value.endswith("%") else value
        return int(digits[:18]) if digits.isascii() and digits.isdigit() else 0
    return value or 0


# -- addresses -------------------------------------------------------------------------------------------------------------


def parse_ip(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    return None if "%" in value else address


def check_ip(value: str, path: str, found: Found, known: Iterable[str] = ()) -> bool:
    """``known``: addresses the object already had; they are left in peace."""
    if value in (known or ()):
        return True
    address = parse_ip(value)
    if address is None:
        text = (
            "must not have leading 0s"
            if _sloppy(value)
            else "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        )
        found.append(invalid(path, value, text))
        return False
    if getattr(address, "ipv4_mapped", None) is not None:
        found.append(invalid(path, value, "must not be an IPv4-mapped IPv6 address"))
        return False
    return True


def _sloppy(value: str) -> bool:
    # four decimal numbers that Kubernetes once accepted with leading zeros
    parts = value.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) < 9 and int(p) < 256 for p in parts)


def parse_cidr(value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    address, slash, bits = value.partition("/")
    if not slash or not (bits.isascii() and bits.isdigit()):
        return None
    try:
        return ipaddress.ip_network(f"{address}/{int(bits[:4])}", strict=False)
    except ValueError:
        return None


def check_cidr(value: str, path: str, found: Found, known: Collection[str] = ()) -> None:
    if value in (known or ()):
        return
    network = parse_cidr(value)
    if network is None:
        found.append(invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"))
        return
    address = ipaddress.ip_address(value.partition("/")[0])
    if getattr(address, "ipv4_mapped", None) is not None:
        found.append(invalid(path, value, "must not have an IPv4-mapped IPv6 address"))
    elif address != network.network_address:
        found.append(invalid(path, value, "must not have bits set beyond the prefix length"))


def check_endpoint_ip(value: str, path: str, found: Found) -> None:
    address = parse_ip(value)
    if address is None:
        found.append(invalid(path, value, "must be a valid IP address"))
        return
    if address.is_unspecified:
        found.append(invalid(path, value, f"may not be unspecified ({value})"))
    if address.is_loopback:
        found.append(invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        found.append(invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    if address.is_multicast and (value.startswith("224.0.0.") or value.lower().startswith("ff02:")):
        text = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        found.append(invalid(path, value, text))


# -- finalizers ------------------------------------------------------------------------------------------------------------

STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def check_finalizers(finalizers: list[str], path: str, found: Found) -> None:
    """Built-in kinds want finalizers with a domain (custom ones are only warned about)."""
    for i, name in enumerate(finalizers):
        check_finalizer(name, f"{path}[{i}]", found)


def check_finalizer(name: str, path: str, found: Found) -> None:
    if "/" not in name and name not in STANDARD_FINALIZERS:
        found.append(invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified"))
