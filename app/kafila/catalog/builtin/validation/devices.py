"""Dynamic resource allocation: ResourceClaim, ResourceClaimTemplate and DeviceClass (see ``slices``).

CEL expressions are compiled; what ``device`` has is not known, and their costs are not estimated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object

from .common import (
    Found,
    check_name,
    check_template_metadata,
    duplicate,
    invalid,
    not_supported,
    required,
)
from .expressions import ANYTHING, DEVICE, check_in
from .resources import is_extended
from .volumes import check_driver_name

Check = Callable[[Any, str, Found], None]

MANY = 32  # requests, constraints, configurations, selectors
MOST_ALTERNATIVES = 8
LONGEST_ID = 32
LONGEST_EXPRESSION = 10 * 1024
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_ONE_REQUEST = "exactly one of `exactly` or `firstAvailable` is required"


def validate_resource_claim(obj: Object) -> Found:
    found: Found = []
    _check_claim(obj.get("spec") or {}, "spec", found)
    return found


def validate_resource_claim_template(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_template_metadata(spec.get("metadata") or {}, "spec.metadata", found)
    _check_claim(spec.get("spec") or {}, "spec.spec", found)
    return found


def validate_device_class(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    each(spec.get("selectors"), MANY, "spec.selectors", found, _check_selector)
    each(spec.get("config"), MANY, "spec.config", found, _check_configuration)
    extended = spec.get("extendedResourceName")
    if extended is not None and not is_extended(extended):
        found.append(invalid("spec.extendedResourceName", extended, "must be a valid extended resource name"))
    return found


def each(items: list[Any] | None, most: int, path: str, found: Found, check: Check, key: str = "") -> None:
    """``key``: what must differ between any two."""
    if items and len(items) > most:
        found.append(FieldError.too_many(path, len(items), most))
        return
    for i, item in enumerate(items or ()):
        check(item or {}, f"{path}[{i}]", found)
    seen = set()
    for i, item in enumerate(items or () if key else ()):
        value = (item or {}).get(key) or ""
        if value in seen:
            found.append(duplicate(f"{path}[{i}]", value))
        seen.add(value)


# -- claims ----------------------------------------------------------------------------------------------------------------


def _check_claim(spec: Object, path: str, found: Found) -> None:
    devices = spec.get("devices") or {}
    path = f"{path}.devices"
    known: dict[str, set[str]] = {
        request.get("name") or "": {sub.get("name") or "" for sub in request.get("firstAvailable") or ()}
        for request in devices.get("requests") or ()
    }

    def constraint(item: Object, at: str, found: Found) -> None:
        _check_references(item.get("requests"), known, f"{at}.requests", found)
        for field in ("matchAttribute", "distinctAttribute"):
            if item.get(field) is not None:
                check_qualified(item[field], f"{at}.{field}", found, full=True)
                return
        both = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
        found.append(required(at, both))

    def configuration(item: Object, at: str, found: Found) -> None:
        _check_references(item.get("requests"), known, f"{at}.requests", found)
        _check_configuration(item, at, found)

    each(devices.get("requests"), MANY, f"{path}.requests", found, _check_request, "name")
    each(devices.get("constraints"), MANY, f"{path}.constraints", found, constraint)
    each(devices.get("config"), MANY, f"{path}.config", found, configuration)


def _check_references(references: list[str] | None, known: dict[str, set[str]], path: str, found: Found) -> None:
    seen = set()
    for i, name in enumerate(references or ()):
        at, (first, *rest) = f"{path}[{i}]", name.split("/")
        if len(rest) > 1:
            found.append(invalid(at, name, _REFERENCE))
            continue
        for part in (first, *rest):
            check_name(part, at, found, names.dns1123_label)
        if first not in known or (rest and rest[0] not in known[first]):
            found.append(invalid(at, name, _REFERENCE))
        if name in seen:
            found.append(duplicate(at, name))
        seen.add(name)


def _check_request(request: Object, path: str, found: Found) -> None:
    check_name(request.get("name") or "", f"{path}.name", found, names.dns1123_label)
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable")
    if exactly is not None and alternatives:
        found.append(invalid(path, None, f"{_ONE_REQUEST}, but multiple fields are set"))
    elif alternatives:
        each(alternatives, MOST_ALTERNATIVES, f"{path}.firstAvailable", found, _check_alternative, "name")
    elif exactly is not None:
        _check_exact(exactly, f"{path}.exactly", found)
    else:
        found.append(required(path, _ONE_REQUEST))


def _check_alternative(request: Object, path: str, found: Found) -> None:
    check_name(request.get("name") or "", f"{path}.name", found, names.dns1123_label)
    _check_exact(request, path, found)


def _check_exact(request: Object, path: str, found: Found) -> None:
    name = request.get("deviceClassName") or ""
    if name:
        check_name(name, f"{path}.deviceClassName", found)
    else:
        found.append(required(f"{path}.deviceClassName"))
    each(request.get("selectors"), MANY, f"{path}.selectors", found, _check_selector)
    mode, count = request.get("allocationMode") or "", request.get("count") or 0
    if mode == "All":
        if count:
            found.append(invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    elif mode == "ExactCount":
        if count <= 0:
            found.append(invalid(f"{path}.count", count, "must be greater than zero"))
    else:
        found.append(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))


def _check_selector(selector: Object, path: str, found: Found) -> None:
    cel = selector.get("cel")
    if cel is None:
        found.append(required(f"{path}.cel"))
    elif len(cel.get("expression") or "") > LONGEST_EXPRESSION:
        found.append(FieldError.too_long(f"{path}.cel.expression", LONGEST_EXPRESSION))
    else:
        check_in(DEVICE, cel.get("expression") or "", f"{path}.cel.expression", found, ANYTHING)


def _check_configuration(config: Object, path: str, found: Found) -> None:
    opaque = config.get("opaque")
    if opaque is None:
        found.append(required(f"{path}.opaque"))
        return
    check_driver_name(opaque.get("driver") or "", f"{path}.opaque.driver", found)
    parameters, at = opaque.get("parameters"), f"{path}.opaque.parameters"
    if parameters is None:
        found.append(required(at))
    elif not isinstance(parameters, dict):
        found.append(invalid(at, "<value omitted>", "must be a valid JSON object"))


def check_qualified(name: str, path: str, found: Found, full: bool = False) -> None:
    parts = name.split("/")
    if len(parts) == 1:
        _check_identifier(parts[0], path, found)
    elif len(parts) == 2:
        if parts[0]:
            check_driver_name(parts[0], path, found)
        else:
            found.append(invalid(path, "", "the domain must not be empty"))
        if parts[1]:
            _check_identifier(parts[1], path, found)
        else:
            found.append(invalid(path, "", "the name must not be empty"))
    if full and "/" not in name:
        found.append(invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash"))


def _check_identifier(name: str, path: str, found: Found) -> None:
    if len(name) > LONGEST_ID:
        found.append(FieldError.too_long(path, LONGEST_ID))
    if not _IDENTIFIER.fullmatch(name):
        text = (
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
            "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
            "'[A-Za-z_][A-Za-z0-9_]*')"
        )
        found.append(invalid(path, name, text))
