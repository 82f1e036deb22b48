"""What Kubernetes accepts as names, label keys and values, and as ``metadata``.

A rule takes ``(value, prefix)`` and returns the reasons why the value is not allowed, in Kubernetes' words (clients match on
them). ``prefix`` says that a suffix will be appended (generateName), so a trailing dash is fine.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

from .errors import FieldError
from .hashes import SAFE_ALPHABET
from .resources import split_api_version

NameRule = Callable[[str, bool], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + "(\\." + _LABEL + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_UNDERSCORE_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORE_SUBDOMAIN = _UNDERSCORE_LABEL + "(\\." + _UNDERSCORE_LABEL + ")*"
_WILDCARD = "\\*\\." + _SUBDOMAIN
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HEADER = "[-A-Za-z0-9]+"
_PERCENT = "[0-9]+%"

_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_name_part = re.compile(_QUALIFIED).fullmatch
_is_label_value = re.compile(_LABEL_VALUE).fullmatch
_is_underscore_subdomain = re.compile(_UNDERSCORE_SUBDOMAIN).fullmatch
_is_wildcard = re.compile(_WILDCARD).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_header = re.compile(_HEADER).fullmatch
_is_percent = re.compile(_PERCENT).fullmatch
_is_port_charset = re.compile("[-a-z0-9]+").fullmatch
_is_printable = re.compile("[ -<>-~]*").fullmatch  # ASCII without "="

MAX_GENERATED_BASE = 58
GENERATED_SUFFIX = 5
ANNOTATIONS_LIMIT = 256 * 1024
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"


def _explain(message: str, pattern: str, *examples: str) -> str:
    """Ends a message the way Kubernetes does (with its odd comma after the last example)."""
    if not examples:
        return f"{message} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


def _size(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def _masked(value: str, prefix: bool) -> str:
    # Kubernetes looks at the name without its trailing dash and replaces the character before it
    return value[:-2] + "a" if prefix and len(value) > 1 and value.endswith("-") else value


_SUBDOMAIN_TEXT = _explain(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_LABEL_TEXT = _explain(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_LABEL_1035_TEXT = _explain(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character",
    _LABEL_1035,
    "my-name",
    "abc-123",
)
_QUALIFIED_TEXT = _explain(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _QUALIFIED,
    "MyName",
    "my.name",
    "123-abc",
)
_LABEL_VALUE_TEXT = _explain(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_UNDERSCORE_TEXT = _explain(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
    "and must start and end with an alphanumeric character",
    _UNDERSCORE_SUBDOMAIN,
    "example.com",
)
_WILDCARD_TEXT = _explain(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower "
    "case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_CONFIG_KEY_TEXT = _explain(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    _CONFIG_KEY,
    "key.name",
    "KEY_NAME",
    "key-name",
)
_HEADER_TEXT = _explain("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")
_PERCENT_TEXT = _explain(
    "a valid percent string must be a numeric string followed by an ending '%'", _PERCENT, "1%", "93%"
)


def dns1123_subdomain(value: str, prefix: bool = False) -> list[str]:
    value = _masked(value, prefix)
    if len(value) <= 253 and _is_subdomain(value):
        return []
    out = ["must be no more than 253 characters"] if _size(value) > 253 else []
    if not _is_subdomain(value):
        out.append(_SUBDOMAIN_TEXT)
    return out


def dns1123_label(value: str, prefix: bool = False) -> list[str]:
    value = _masked(value, prefix)
    if len(value) <= 63 and _is_label(value):
        return []
    out = ["must be no more than 63 characters"] if _size(value) > 63 else []
    if not _is_label(value):
        out.append("must not contain dots" if _is_subdomain(value) else _LABEL_TEXT)
    return out


def dns1035_label(value: str, prefix: bool = False) -> list[str]:
    value = _masked(value, prefix)
    if len(value) <= 63 and _is_label_1035(value):
        return []
    out = ["must be no more than 63 characters"] if _size(value) > 63 else []
    if not _is_label_1035(value):
        out.append(_LABEL_1035_TEXT)
    return out


def path_segment(value: str, prefix: bool = False) -> list[str]:
    """Names of RBAC objects: whatever can be one segment of a URL's path."""
    if value in (".", "..") and not prefix:
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]


def any_name(value: str, prefix: bool = False) -> list[str]:
    return []


def qualified_name(value: str) -> list[str]:
    """A label key: ``[prefix/]name``."""
    if len(value) <= 63 and "/" not in value and _is_name_part(value):
        return []
    parts = value.split("/")
    if len(parts) > 2:
        return [
            f"a valid label key {_QUALIFIED_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    out = []
    if len(parts) == 2:
        if not parts[0]:
            out.append("prefix part must be non-empty")
        else:
            reasons = dns1123_subdomain(parts[0])
            out.extend(
                f"prefix part {reason.replace('no more than 253 characters', 'no more than 253 bytes')}"
                for reason in reasons
            )
    name = parts[-1]
    if not name:
        out.append("name part must be non-empty")
    elif _size(name) > 63:
        out.append("name part must be no more than 63 bytes")
    if not _is_name_part(name):
        out.append(f"name part {_QUALIFIED_TEXT}")
    return out


def label_value(value: str) -> list[str]:
    if len(value) <= 63 and _is_label_value(value):
        return []
    out = ["must be no more than 63 bytes"] if _size(value) > 63 else []
    if not _is_label_value(value):
        out.append(_LABEL_VALUE_TEXT)
    return out


def dns1123_subdomain_with_underscore(value: str) -> list[str]:
    out = ["must be no more than 253 characters"] if _size(value) > 253 else []
    if not _is_underscore_subdomain(value):
        out.append(_UNDERSCORE_TEXT)
    return out


def wildcard_dns1123_subdomain(value: str) -> list[str]:
    out = ["must be no more than 253 characters"] if _size(value) > 253 else []
    if not _is_wildcard(value):
        out.append(_WILDCARD_TEXT)
    return out


def config_key(value: str) -> list[str]:
    """Keys of ConfigMaps and Secrets: they become file names."""
    if len(value) <= 253 and _is_config_key(value) and not value.startswith("."):
        return []
    out = ["must be no more than 253 characters"] if _size(value) > 253 else []
    if not _is_config_key(value):
        out.append(_CONFIG_KEY_TEXT)
    if value in (".", ".."):
        out.append(f"must not be '{value}'")
    elif value.startswith(".."):
        out.append("must not start with '..'")
    return out


def env_name(value: str) -> list[str]:
    out = [] if value else ["environment variable name must be non-empty"]
    if not _is_printable(value):
        out.append("a valid environment variable name must consist only of printable ASCII characters other than '='")
    return out


def http_header(value: str) -> list[str]:
    return [] if _is_header(value) else [_HEADER_TEXT]


def percent(value: str) -> list[str]:
    return [] if _is_percent(value) else [_PERCENT_TEXT]


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else [in_range(1, 65535)]


def port_name(value: str) -> list[str]:
    out = ["must be no more than 15 characters"] if _size(value) > 15 else []
    if not _is_port_charset(value):
        out.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= char <= "z" for char in value):
        out.append("must contain at least one letter (a-z)")
    if "--" in value:
        out.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        out.append("must not begin or end with a hyphen")
    return out


def in_range(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def generate_name(base: str) -> str:
    """A name for ``metadata.generateName``: the base, cut to 58 bytes, and five random characters that spell no words."""
    suffix = "".join(secrets.choice(SAFE_ALPHABET) for _ in range(GENERATED_SUFFIX))
    if _size(base) > MAX_GENERATED_BASE:
        base = base.encode()[:MAX_GENERATED_BASE].decode("utf-8", "ignore")
    return base + suffix


# -- metadata --------------------------------------------------------------------------------------------------------------


def validate_object_meta(
    obj: dict[str, Any], namespaced: bool, name_rule: NameRule, path: str = "metadata"
) -> list[FieldError]:
    """What is wrong with a new object's metadata. Raises nothing, whatever the shapes inside are decoded to."""
    metadata = obj.get("metadata") or {}
    found: list[FieldError] = []
    generate = metadata.get("generateName")
    if generate:
        found.extend(FieldError.invalid(f"{path}.generateName", generate, why) for why in name_rule(generate, True))
    name = metadata.get("name")
    if not name:
        found.append(FieldError.required(f"{path}.name", "name or generateName is required"))
    else:
        found.extend(FieldError.invalid(f"{path}.name", name, why) for why in name_rule(name, False))
    namespace = metadata.get("namespace")
    if namespaced:
        if not namespace:
            found.append(FieldError.required(f"{path}.namespace"))
        else:
            found.extend(FieldError.invalid(f"{path}.namespace", namespace, why) for why in dns1123_label(namespace))
    elif namespace:
        found.append(FieldError.forbidden(f"{path}.namespace", "not allowed on this type"))
    generation = metadata.get("generation")
    if generation and generation < 0:
        found.append(FieldError.invalid(f"{path}.generation", generation, NOT_NEGATIVE))
    _validate_common(metadata, path, found)
    return found


def validate_object_meta_update(new: dict[str, Any], old: dict[str, Any], path: str = "metadata") -> list[FieldError]:
    """What is wrong with a change of metadata. That a resourceVersion is given is the registry's affair."""
    metadata, was = new.get("metadata") or {}, old.get("metadata") or {}
    found: list[FieldError] = []
    if was.get("deletionTimestamp"):
        extra = sorted(set(metadata.get("finalizers") or ()) - set(was.get("finalizers") or ()))
        if extra:
            shown = ", ".join(f'"{name}"' for name in extra)
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
            found.append(FieldError.forbidden(f"{path}.finalizers", text))
    generation, before = metadata.get("generation") or 0, was.get("generation") or 0
    if generation < before:
        found.append(FieldError.invalid(f"{path}.generation", generation, "must not be decremented"))
    for name in ("name", "namespace", "uid"):
        if (metadata.get(name) or "") != (was.get(name) or ""):
            found.append(FieldError.invalid(f"{path}.{name}", metadata.get(name) or "", IMMUTABLE))
    for name in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(name) != was.get(name):
            found.append(FieldError.invalid(f"{path}.{name}", metadata.get(name), IMMUTABLE))
    _validate_common(metadata, path, found)
    return found


def _validate_common(metadata: dict[str, Any], path: str, found: list[FieldError]) -> None:
    labels = metadata.get("labels")
    if labels:
        found.extend(validate_labels(labels, f"{path}.labels"))
    annotations = metadata.get("annotations")
    if annotations:
        found.extend(validate_annotations(annotations, f"{path}.annotations"))
    owners = metadata.get("ownerReferences")
    if owners:
        found.extend(validate_owner_references(owners, f"{path}.ownerReferences"))
    finalizers = metadata.get("finalizers")
    if finalizers:
        found.extend(validate_finalizers(finalizers, f"{path}.finalizers"))


def validate_labels(labels: dict[str, str], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key, value in labels.items():
        for why in qualified_name(key):
            found.append(FieldError.invalid(path, key, why))
        for why in label_value(value or ""):
            found.append(FieldError.invalid(path, value, why))
    return found


def validate_annotations(annotations: dict[str, str], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    total = 0
    for key, value in annotations.items():
        for why in qualified_name(key.lower()):
            found.append(FieldError.invalid(path, key, why))
        total += _size(key) + _size(value or "")
    if total > ANNOTATIONS_LIMIT:
        found.append(FieldError.too_long(path, ANNOTATIONS_LIMIT))
    return found


def validate_finalizers(finalizers: list[str], path: str) -> list[FieldError]:
    found = [FieldError.invalid(path, name, why) for name in finalizers for why in qualified_name(name or "")]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(FieldError.invalid(path, finalizers, text))
    return found


def validate_owner_references(owners: list[dict[str, Any]], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    controller = ""
    for owner in owners:
        if not owner:
            owner = {}
        api_version, kind = owner.get("apiVersion") or "", owner.get("kind") or ""
        try:
            version = split_api_version(api_version)[1]
        except ValueError:
            version = ""
        if not version:
            found.append(FieldError.invalid(f"{path}.apiVersion", api_version, "version must not be empty"))
        for name in ("kind", "name", "uid"):
            if not owner.get(name):
                found.append(FieldError.invalid(f"{path}.{name}", "", "must not be empty"))
        if api_version == "v1" and kind == "Event":
            found.append(FieldError.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            current = f"{kind}/{owner.get('name') or ''}"
            if controller:
                text = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {current}"
                )
                found.append(FieldError.invalid(path, owners, text))
            else:
                controller = current
    return found
