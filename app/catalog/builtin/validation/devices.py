"""Dynamic resource allocation: ResourceClaim, ResourceClaimTemplate, DeviceClass and ResourceSlice.

CEL expressions are read, and their names looked at; their types and costs are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from app.core import names
from app.core.errors import FieldError

from .common import (
    Found,
    check_expression,
    check_immutable,
    check_immutable_text,
    check_name,
    check_template_metadata,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from .resources import is_extended
from .volumes import check_driver_name

Object = dict[str, Any]
Check = Callable[[Any, str, Found], None]

MANY = 32  # requests, constraints, configurations, selectors
MOST_ALTERNATIVES = 8
MOST_DEVICES = 128
MOST_ATTRIBUTES = 32
LONGEST_ID = 32
MOST_COUNTER_SETS = 8
MOST_COUNTERS = 32
LONGEST_VALUE = 64
LONGEST_EXPRESSION = 10 * 1024
LONGEST_PARAMETERS = 10 * 1024
LONGEST_POOL = 253
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
_ONE_REQUEST = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_NODE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"


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
    _each(spec.get("selectors"), MANY, "spec.selectors", found, _check_selector)
    _each(spec.get("config"), MANY, "spec.config", found, _check_configuration)
    extended = spec.get("extendedResourceName")
    if extended is not None and not is_extended(extended):
        found.append(invalid("spec.extendedResourceName", extended, "must be a valid extended resource name"))
    return found


def validate_resource_slice(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    check_driver_name(spec.get("driver") or "", "spec.driver", found)
    _check_pool(spec.get("pool") or {}, "spec.pool", found)
    _check_place(spec, found)
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        found.append(invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    _each(spec.get("devices"), MOST_DEVICES, "spec.devices", found, _check_device, "name")
    _each(spec.get("sharedCounters"), MOST_COUNTER_SETS, "spec.sharedCounters", found, _check_counters, "name")
    return found


def validate_resource_slice_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    check_immutable_text(
        (spec.get("pool") or {}).get("name"), (was.get("pool") or {}).get("name"), "spec.pool.name", found
    )
    check_immutable_text(spec.get("driver"), was.get("driver"), "spec.driver", found)
    check_immutable(spec.get("nodeName"), was.get("nodeName"), "spec.nodeName", found)
    return found


def _each(items: list[Any] | None, most: int, path: str, found: Found, check: Check, key: str = "") -> None:
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
                _check_qualified(item[field], f"{at}.{field}", found, full=True)
                return
        both = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
        found.append(required(at, both))

    def configuration(item: Object, at: str, found: Found) -> None:
        _check_references(item.get("requests"), known, f"{at}.requests", found)
        _check_configuration(item, at, found)

    _each(devices.get("requests"), MANY, f"{path}.requests", found, _check_request, "name")
    _each(devices.get("constraints"), MANY, f"{path}.constraints", found, constraint)
    _each(devices.get("config"), MANY, f"{path}.config", found, configuration)


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
        _each(alternatives, MOST_ALTERNATIVES, f"{path}.firstAvailable", found, _check_alternative, "name")
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
    _each(request.get("selectors"), MANY, f"{path}.selectors", found, _check_selector)
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
        check_expression(cel.get("expression") or "", ("device",), f"{path}.cel.expression", found)


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


# -- slices ----------------------------------------------------------------------------------------------------------------


def _check_pool(pool: Object, path: str, found: Found) -> None:
    name = pool.get("name") or ""
    if not name:
        found.append(required(f"{path}.name"))
    else:
        if len(name) > LONGEST_POOL:
            found.append(FieldError.too_long(f"{path}.name", LONGEST_POOL))
        for part in name.split("/"):
            check_name(part, f"{path}.name", found)
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    if count <= 0:
        found.append(invalid(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        found.append(invalid(f"{path}.generation", generation, "must be greater than or equal to zero"))


def _check_place(spec: Object, found: Found) -> None:
    """Where the devices are: exactly one way to say it."""
    given = []
    if spec.get("nodeName") is not None:
        if spec["nodeName"]:
            given.append("`nodeName`")
            check_name(spec["nodeName"], "spec.nodeName", found)
        else:
            found.append(invalid("spec.nodeName", "", "must be either unset or set to a non-empty string"))
    if spec.get("nodeSelector") is not None:
        given.append("`nodeSelector`")
    for field in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(field):
            given.append(f"`{field}`")
        elif spec.get(field) is False:
            found.append(invalid(f"spec.{field}", False, "must be either unset or set to true"))
    if not given:
        found.append(required("spec", _ONE_NODE))
    elif len(given) > 1:
        text = f"{_ONE_NODE}, but multiple fields are set"
        found.append(invalid("spec", f"{{{', '.join(given)}}}", text))


def _check_device(device: Object, path: str, found: Found) -> None:
    check_name(device.get("name") or "", f"{path}.name", found, names.dns1123_label)
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacity) > MOST_ATTRIBUTES:
        text = f"the total number of attributes and capacities must not exceed {MOST_ATTRIBUTES}"
        found.append(invalid(path, len(attributes) + len(capacity), text))
    for name, attribute in attributes.items():
        _check_qualified(name, f"{path}.attributes", found)
        _check_attribute(attribute or {}, f"{path}.attributes[{name}]", found)
    for name, amount in capacity.items():
        _check_qualified(name, f"{path}.capacity", found)
        if (amount or {}).get("requestPolicy") is not None and not device.get("allowMultipleAllocations"):
            at = f"{path}.capacity[{name}].requestPolicy"
            found.append(forbidden(at, "allowMultipleAllocations must be true"))


def _check_counters(counters: Object, path: str, found: Found) -> None:
    name, amounts = counters.get("name") or "", counters.get("counters") or {}
    if name:
        check_name(name, f"{path}.name", found, names.dns1123_label)
    else:
        found.append(required(f"{path}.name"))
    if not amounts:
        found.append(required(f"{path}.counters"))
    elif len(amounts) > MOST_COUNTERS:
        found.append(FieldError.too_many(f"{path}.counters", len(amounts), MOST_COUNTERS))
    for key in sorted(amounts):
        check_name(key, f"{path}.counters", found, names.dns1123_label)


def _check_attribute(attribute: Object, path: str, found: Found) -> None:
    values = {k: v for k, v in attribute.items() if v is not None}
    text, version = values.get("string"), values.get("version")
    if text is not None and len(text) > LONGEST_VALUE:
        found.append(FieldError.too_long(f"{path}.string", LONGEST_VALUE))
    if version is not None:
        if not _SEMVER.fullmatch(version):
            found.append(invalid(f"{path}.version", version, "must be a string compatible with semver.org spec 2.0.0"))
        if len(version) > LONGEST_VALUE:
            found.append(FieldError.too_long(f"{path}.version", LONGEST_VALUE))
    for field in ("bools", "ints", "strings", "versions"):
        if values.get(field) == []:
            found.append(invalid(f"{path}.{field}", [], "must not be empty if specified"))
    if len(values) != 1:
        found.append(invalid(path, values or "", "exactly one value must be specified"))


def _check_qualified(name: str, path: str, found: Found, full: bool = False) -> None:
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
