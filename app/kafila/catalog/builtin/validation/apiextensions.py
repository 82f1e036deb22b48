"""CustomResourceDefinition and APIService."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafila.cel.ruled import DefaultRules
from kafila.cel.rules import rule_findings
from kafila.core import names
from kafila.core.errors import FieldError
from kafila.core.values import Object, repeats
from kafila.machinery.structural.fieldpaths import PathProblem, field_at
from kafila.machinery.structural.formats import unrecognized_formats
from kafila.machinery.structural.patterns import MOST_INSTRUCTIONS, too_many_patterns
from kafila.machinery.structural.schemarules import schema_findings, size_of_rules

from .admission import check_webhook_service, check_webhook_url
from .common import Found, check_immutable, check_name, duplicate, forbidden, invalid, not_supported, required

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SIMPLE_PATH = "must be a simple json path starting with ."
_MIXED = "may have mixed case, but should otherwise match: "

MOST_SELECTABLE = 8
MOST_RULES = 512 << 10  # characters of all expressions of a definition: every process compiles them
TOO_MANY_RULES = f"the rules have more than {MOST_RULES:,} characters altogether"
TOO_MANY_PATTERNS = f"the patterns compile to more than {MOST_INSTRUCTIONS:,} instructions altogether"


def validate_crd(obj: Object) -> Found:
    found = _check_own_name(obj)
    spec = obj.get("spec") or {}
    if too_many_patterns([version.get("schema") for version in spec.get("versions") or ()]):
        return [*found, forbidden("spec.versions", TOO_MANY_PATTERNS)]
    if size_of_rules([version.get("schema") for version in spec.get("versions") or ()]) > MOST_RULES:
        return [*found, forbidden("spec.versions", TOO_MANY_RULES)]
    given = spec.get("names") or {}
    group = spec.get("group") or ""
    if not group:
        found.append(required("spec.group"))
    elif names.dns1123_subdomain(group):
        found.append(invalid("spec.group", group, ",".join(names.dns1123_subdomain(group))))
    elif "." not in group:
        found.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    scope = spec.get("scope") or ""
    if scope not in ("Cluster", "Namespaced"):
        found.append(not_supported("spec.scope", scope, ("Cluster", "Namespaced")) if scope else required("spec.scope"))
    _check_versions(spec, found)
    if spec.get("preserveUnknownFields"):
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        found.append(invalid("spec.preserveUnknownFields", True, text))
    for field in ("plural", "singular", "kind", "listKind"):
        if not given.get(field):
            found.append(required(f"spec.names.{field}"))
    _check_names(given, "spec.names", found)
    _check_conversion(spec, found)
    _check_stored_versions(obj, spec, found)
    if group == "k8s.io" or group.endswith((".k8s.io", ".kubernetes.io")) or group == "kubernetes.io":
        _check_approval(obj, found)
    return found


def validate_crd_status(new: Object, old: Object) -> Found:
    """The rest is as it was: what takes long to check is not checked again."""
    found: Found = []
    _check_names((new.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames", found)
    return found


def _check_own_name(obj: Object) -> Found:
    spec, name = obj.get("spec") or {}, (obj.get("metadata") or {}).get("name") or ""
    wanted = f"{(spec.get('names') or {}).get('plural') or ''}.{spec.get('group') or ''}"
    return [] if name in ("", wanted) else [invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')]


def _check_versions(spec: Object, found: Found) -> None:
    versions = spec.get("versions") or []
    shared = _shared(versions)
    for field in shared:
        _CHECKS[field](versions[0].get(field), f"spec.{_SHARED_AS[field]}", versions[0], found)
    for i, version in enumerate(versions):
        path = f"spec.versions[{i}]"
        reasons = names.dns1035_label(version.get("name") or "")
        if reasons:
            found.append(invalid(f"{path}.name", version.get("name") or "", ",".join(reasons)))
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            found.append(required(f"{path}.schema.openAPIV3Schema"))
        warning = version.get("deprecationWarning")
        if warning is not None and not version.get("deprecated"):
            text = "can only be set for deprecated versions"
            found.append(invalid(f"{path}.deprecationWarning", warning, text))
        for field in _CHECKS:
            if field not in shared:
                _CHECKS[field](version.get(field), f"{path}.{field}", version, found)
    listed = [version.get("name") for version in versions]
    if len(set(listed)) != len(listed):
        found.append(invalid("spec.versions", versions, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        found.append(invalid("spec.versions", versions, text))


# what all versions say alike is checked once, and named as the API's first version named it
_SHARED_AS = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}


def _shared(versions: list[Object]) -> list[str]:
    if not versions:
        return []
    return [f for f in _SHARED_AS if all(v.get(f) == versions[0].get(f) for v in versions)]


def _check_schema(given: Object | None, path: str, version: Object, found: Found) -> None:
    schema = (given or {}).get("openAPIV3Schema")
    if schema is not None:
        status = (version.get("subresources") or {}).get("status") is not None
        where = f"{path}.openAPIV3Schema"
        wrong, ruled = schema_findings(schema, where, status, DefaultRules(schema))
        found += wrong
        if ruled:
            found += rule_findings(schema, where, wrong)


def _check_selectable(given: list[Object] | None, path: str, version: Object, found: Found) -> None:
    """Fields by which clients may select."""
    schema, seen = (version.get("schema") or {}).get("openAPIV3Schema"), set[str]()
    for i, field in enumerate(given or ()):
        where, text = f"{path}[{i}].jsonPath", field.get("jsonPath") or ""
        if not text:
            found.append(required(where))
            continue
        try:
            at = field_at(text, schema or {}, arrays=False)
        except PathProblem as problem:
            found.append(invalid(where, text, f"is an invalid path: {problem}"))
            continue
        if at.steps[:1] == ("metadata",):
            found.append(invalid(where, text, "must not point to fields in metadata"))
        if at.schema.get("type") not in ("string", "boolean", "integer"):
            why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            found.append(invalid(where, text, why))
        if at.path in seen:
            found.append(duplicate(where, text))
        seen.add(at.path)
    if len(seen) > MOST_SELECTABLE:
        found.append(FieldError.too_many(path, len(seen), MOST_SELECTABLE))


def _check_columns(given: list[Object] | None, path: str, version: Object, found: Found) -> None:
    for j, column in enumerate(given or ()):
        _check_column(column, f"{path}[{j}]", found)


def _check_column(column: Object, path: str, found: Found) -> None:
    kind, form, at = column.get("type") or "", column.get("format") or "", column.get("jsonPath") or ""
    if not column.get("name"):
        found.append(required(f"{path}.name"))
    if not kind:
        found.append(required(f"{path}.type", f"must be one of {','.join(sorted(_COLUMN_TYPES))}"))
    elif kind not in _COLUMN_TYPES:
        found.append(invalid(f"{path}.type", kind, f"must be one of {','.join(sorted(_COLUMN_TYPES))}"))
    if form and form not in _COLUMN_FORMATS:
        found.append(invalid(f"{path}.format", form, f"must be one of {','.join(sorted(_COLUMN_FORMATS))}"))
    if not at:
        found.append(required(f"{path}.JSONPath"))
    elif not at.startswith("."):
        found.append(invalid(f"{path}.JSONPath", at, _SIMPLE_PATH))


def _check_subresources(given: Object | None, path: str, version: Object, found: Found) -> None:
    scale = (given or {}).get("scale")
    if scale is None:
        return
    for field, prefix in (
        ("specReplicasPath", ".spec."),
        ("statusReplicasPath", ".status."),
        ("labelSelectorPath", ""),
    ):
        value = scale.get(field) or ""
        where = f"{path}.scale.{field}"
        if field == "labelSelectorPath":
            if value and not value.startswith("."):
                found.append(invalid(where, value, _SIMPLE_PATH))
            elif value and not value.startswith((".spec.", ".status.")):
                text = "should be a json path under either .spec or .status"
                found.append(invalid(where, value, text))
        elif not value:
            found.append(required(where))
        elif not value.startswith("."):
            found.append(invalid(where, value, _SIMPLE_PATH))
        elif not value.startswith(prefix):
            found.append(invalid(where, value, f"should be a json path under {prefix[:-1]}"))


_CHECKS: dict[str, Callable[[Any, str, Object, Found], None]] = {
    "schema": _check_schema,
    "subresources": _check_subresources,
    "additionalPrinterColumns": _check_columns,
    "selectableFields": _check_selectable,
}


def _check_names(given: Object, path: str, found: Found) -> None:
    for field in ("plural", "singular"):
        value = given.get(field)
        reasons = names.dns1035_label(value) if value else []
        if reasons:
            found.append(invalid(f"{path}.{field}", value, ",".join(reasons)))
    for field in ("kind", "listKind"):
        value = given.get(field)
        reasons = names.dns1035_label(value.lower()) if value else []
        if reasons:
            found.append(invalid(f"{path}.{field}", value, _MIXED + ",".join(reasons)))
    for field in ("shortNames", "categories"):
        for i, value in enumerate(given.get(field) or ()):
            reasons = names.dns1035_label(value)
            if reasons:
                found.append(invalid(f"{path}.{field}[{i}]", value, ",".join(reasons)))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        text = "kind and listKind may not be the same"
        found.append(invalid(f"{path}.listKind", given["listKind"], text))


def _check_conversion(spec: Object, found: Found) -> None:
    conversion = spec.get("conversion")
    if conversion is None:
        return
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook")
    path = "spec.conversion"
    if strategy not in ("None", "Webhook"):
        where = f"{path}.strategy"
        found.append(not_supported(where, strategy, ("None", "Webhook")) if strategy else required(where))
    config = (webhook or {}).get("clientConfig")
    if strategy == "Webhook":
        if config is None:
            text = "required when strategy is set to Webhook"
            found.append(required(f"{path}.webhookClientConfig", text))
        else:
            url, service = config.get("url"), config.get("service")
            where = f"{path}.webhookClientConfig"
            if (url is None) == (service is None):
                found.append(required(where, "exactly one of url or service is required"))
            elif url is not None:
                check_webhook_url(url, f"{where}.url", found)
            else:
                check_webhook_service(service or {}, f"{where}.service", found)
        versions = (webhook or {}).get("conversionReviewVersions") or []
        if not versions:
            found.append(required(f"{path}.conversionReviewVersions"))
        elif not any(version in ("v1", "v1beta1") for version in versions):
            text = "must include at least one of v1, v1beta1"
            found.append(invalid(f"{path}.conversionReviewVersions", versions, text))
    elif webhook is not None:
        text = "should not be set when strategy is not set to Webhook"
        found.append(forbidden(f"{path}.webhookClientConfig", text))


def crd_warnings(obj: Object) -> list[str]:
    """About formats that nobody will check."""
    schemas = [(v.get("schema") or {}).get("openAPIV3Schema") for v in (obj.get("spec") or {}).get("versions") or ()]
    distinct = [s for s, again in zip(schemas, repeats(schemas), strict=True) if s is not None and not again]
    return [f'unrecognized format "{name}"' for schema in distinct for name in unrecognized_formats(schema)]


def crd_update_warnings(new: Object, old: Object | None) -> list[str]:
    before = set(crd_warnings(old) if old is not None else ())
    return [text for text in crd_warnings(new) if text not in before]


def _check_stored_versions(obj: Object, spec: Object, found: Found) -> None:
    stored = (obj.get("status") or {}).get("storedVersions") or []
    if not stored:
        found.append(invalid("status.storedVersions", stored or None, "must have at least one stored version"))
        return
    listed = {version.get("name"): version for version in spec.get("versions") or ()}
    for i, name in enumerate(stored):
        if name not in listed:
            text = "missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions"
            found.append(invalid(f"status.storedVersions[{i}]", name, text.replace("v1", name)))
    known = set(stored)
    for name, version in listed.items():
        if version.get("storage") and name not in known:
            text = f"must have the storage version {name}"
            found.append(invalid("status.storedVersions", stored, text))


def _check_approval(obj: Object, found: Found) -> None:
    key = "api-approved.kubernetes.io"
    value = ((obj.get("metadata") or {}).get("annotations") or {}).get(key)
    path = f"metadata.annotations[{key}]"
    if not value:
        text = (
            f'protected groups must have approval annotation "{key}", '
            "see https://github.com/kubernetes/enhancements/pull/1111"
        )
        found.append(required(path, text))


def validate_crd_update(new: Object, old: Object) -> Found:
    found: Found = []
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    given, before = spec.get("names") or {}, was.get("names") or {}
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions):
        check_immutable(spec.get("scope"), was.get("scope"), "spec.scope", found)
        check_immutable(given.get("kind"), before.get("kind"), "spec.names.kind", found)
    check_immutable(spec.get("group"), was.get("group"), "spec.group", found)
    check_immutable(given.get("plural"), before.get("plural"), "spec.names.plural", found)
    return found


def validate_api_service(obj: Object) -> Found:
    found: Found = []
    spec = obj.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    name = (obj.get("metadata") or {}).get("name") or ""
    if name and name != f"{version}.{group}":
        text = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
        found.append(invalid("metadata.name", name, text))
    if group:
        check_name(group, "spec.group", found)
    elif version != "v1":
        text = "only v1 may have an empty group and it better be legacy kube"
        found.append(required("spec.group", text))
    check_name(version, "spec.version", found, names.dns1035_label)
    for field, limit in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        value = spec.get(field) or 0
        if not 0 < value <= limit:
            found.append(invalid(f"spec.{field}", value, f"must be positive and less than {limit}"))
    service, bundle, insecure = spec.get("service"), spec.get("caBundle"), spec.get("insecureSkipTLSVerify")
    if service is None:
        if bundle:
            size = f"{len(bundle) * 3 // 4 - bundle[-2:].count('=')} bytes"
            found.append(invalid("spec.caBundle", size, "local APIServices may not have a caBundle"))
        if insecure:
            text = "local APIServices may not have insecureSkipTLSVerify"
            found.append(invalid("spec.insecureSkipTLSVerify", True, text))
        return found
    for field in ("namespace", "name"):
        if not service.get(field):
            found.append(required(f"spec.service.{field}"))
    port = service.get("port") or 0
    if not 1 <= port <= 65535:
        text = f"port is not valid: {names.in_range(1, 65535)}"
        found.append(invalid("spec.service.port", port, text))
    if insecure and bundle:
        found.append(invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))
    return found
