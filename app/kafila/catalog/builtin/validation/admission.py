"""Webhook configurations, and what admission policies have in common with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafila.cel.bounds import compiled_together
from kafila.core import gourl, names
from kafila.core.errors import FieldError
from kafila.core.values import Object, repeats

from .common import Found, check_label_selector, duplicate, invalid, not_supported, required
from .expressions import check_expression

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_FORM = "; desired format: https://host[/path]"


# -- webhooks --------------------------------------------------------------------------------------------------------------


@compiled_together()
def validate_webhooks(obj: Object) -> Found:
    return _validate_webhooks(obj, mutating=False)


@compiled_together()
def validate_mutating_webhooks(obj: Object) -> Found:
    return _validate_webhooks(obj, mutating=True)


def _validate_webhooks(obj: Object, *, mutating: bool) -> Found:
    found: Found = []
    seen: set[str] = set()
    for i, hook in enumerate(obj.get("webhooks") or ()):
        path = f"webhooks[{i}]"
        _check_webhook(hook, path, found, mutating)
        _check_review_versions(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions", found)
        name = hook.get("name")
        if name:
            if name in seen:
                found.append(duplicate(f"{path}.name", name))
            seen.add(name)
    return found


def _check_webhook(hook: Object, path: str, found: Found, mutating: bool) -> None:
    get = hook.get
    check_long_name(get("name") or "", f"{path}.name", found)
    for i, rule in enumerate(get("rules") or ()):
        check_rule_with_operations(rule, f"{path}.rules[{i}]", found)
    check_choice(get("failurePolicy"), ("Fail", "Ignore"), f"{path}.failurePolicy", found)
    check_choice(get("matchPolicy"), ("Equivalent", "Exact"), f"{path}.matchPolicy", found)
    effects = get("sideEffects")
    if effects is None:
        found.append(required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun"))
    check_choice(effects, ("None", "NoneOnDryRun"), f"{path}.sideEffects", found)
    timeout = get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        found.append(invalid(f"{path}.timeoutSeconds", timeout, text))
    check_label_selector(get("namespaceSelector"), f"{path}.namespaceSelector", found)
    check_label_selector(get("objectSelector"), f"{path}.objectSelector", found)
    if mutating:
        check_choice(get("reinvocationPolicy"), ("IfNeeded", "Never"), f"{path}.reinvocationPolicy", found)
    config = get("clientConfig") or {}
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        found.append(required(f"{path}.clientConfig", "exactly one of url or service is required"))
    elif url is not None:
        check_webhook_url(url, f"{path}.clientConfig.url", found)
    else:
        check_webhook_service(service or {}, f"{path}.clientConfig.service", found)
    check_match_conditions(get("matchConditions") or (), CONDITION_NAMES, f"{path}.matchConditions", found)


def check_choice(value: str | None, allowed: tuple[str, ...], path: str, found: Found) -> None:
    if value is not None and value not in allowed:
        found.append(not_supported(path, value, allowed))


def check_long_name(name: str, path: str, found: Found) -> None:
    """A domain name of at least three segments."""
    if not name:
        found.append(required(path))
        return
    reasons = names.dns1123_subdomain(name)
    if reasons:
        found.append(invalid(path, name, ",".join(reasons)))
    elif name.count(".") < 2:
        found.append(invalid(path, name, "should be a domain with at least three segments separated by dots"))


def check_webhook_url(url: str, path: str, found: Found) -> None:
    try:
        parts = gourl.parse(url)
    except ValueError as error:
        found.append(required(path, f"url must be a valid URL: {error}{_FORM}"))
        return
    if parts.scheme != "https":
        found.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not parts.host:
        found.append(invalid(path, parts.host, f"host must be specified{_FORM}"))
    if parts.port is not None and not 0 < parts.port <= gourl.HIGHEST_PORT:  # kube-apiserver finds out when it calls
        found.append(invalid(path, parts.port, f"port is not valid: {names.in_range(1, gourl.HIGHEST_PORT)}"))
    if parts.user is not None:
        found.append(invalid(path, parts.user, "user information is not permitted in the URL"))
    if parts.fragment:
        found.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        found.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))


def check_webhook_service(service: Object, path: str, found: Found) -> None:
    # Kubernetes hands name and namespace over in the wrong order and reports each as the other
    for field, shown in (("namespace", "name"), ("name", "namespace")):
        if not service.get(field):
            found.append(required(f"{path}.{shown}"))
    port = service.get("port") or 0
    if not 1 <= port <= 65535:
        found.append(invalid(f"{path}.port", port, f"port is not valid: {names.in_range(1, 65535)}"))
    target = service.get("path") or "/"
    if target == "/":
        return
    if target == "//":
        found.append(invalid(f"{path}.path", target, "segment[0] may not be empty"))
        return
    if not target.startswith("/"):
        found.append(invalid(f"{path}.path", target, "must start with a '/'"))
    for i, step in enumerate(target[1:].removesuffix("/").split("/")):
        if not step:
            found.append(invalid(f"{path}.path", target, f"segment[{i}] may not be empty"))
            continue
        for why in names.dns1123_subdomain(step):
            found.append(invalid(f"{path}.path", target, f"segment[{i}]: {why}"))


def _check_review_versions(versions: list[str], path: str, found: Found) -> None:
    if not versions:
        found.append(required(path, "must specify one of v1, v1beta1"))
        return
    for i, (version, again) in enumerate(zip(versions, repeats(versions), strict=True)):
        if again:
            found.append(invalid(f"{path}[{i}]", version, "duplicate version"))
            continue
        for why in names.dns1035_label(version):
            found.append(invalid(f"{path}[{i}]", version, why))
    if not any(version in _REVIEW_VERSIONS for version in versions):
        found.append(invalid(path, versions, "must include at least one of v1, v1beta1"))


# -- rules -----------------------------------------------------------------------------------------------------------------


def check_rule_with_operations(rule: Object, path: str, found: Found) -> None:
    operations = rule.get("operations") or []
    if not operations:
        found.append(required(f"{path}.operations"))
    if len(operations) > 1 and "*" in operations:
        text = "if '*' is present, must not specify other operations"
        found.append(invalid(f"{path}.operations", operations, text))
    for i, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            found.append(not_supported(f"{path}.operations[{i}]", operation, _OPERATIONS))
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if not values:
            found.append(required(f"{path}.{field}"))
        if len(values) > 1 and "*" in values:
            text = f"if '*' is present, must not specify other {what}"
            found.append(invalid(f"{path}.{field}", values, text))
        if field == "apiVersions":
            for i, version in enumerate(values):
                if not version:
                    found.append(required(f"{path}.apiVersions[{i}]"))
    _check_resources(rule.get("resources") or [], f"{path}.resources", found)
    check_choice(rule.get("scope"), _SCOPES, f"{path}.scope", found)


def _check_resources(resources: list[str], path: str, found: Found) -> None:
    if not resources:
        found.append(required(path))
    all_subresources: set[str] = set()  # of x in "x/*"
    all_resources: set[str] = set()  # of y in "*/y"
    plain = False
    for i, text in enumerate(resources):
        if not text:
            found.append(required(f"{path}[{i}]"))
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            plain = text != "*"
            continue
        if resource in all_subresources:
            why = f"if '{resource}/*' is present, must not specify {text}"
            found.append(invalid(f"{path}[{i}]", text, why))
        if sub in all_resources:
            found.append(invalid(f"{path}[{i}]", text, f"if '*/{sub}' is present, must not specify {text}"))
        if sub == "*":
            all_subresources.add(resource)
        if resource == "*":
            all_resources.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        found.append(invalid(path, resources, "if '*/*' is present, must not specify other resources"))
    if "*" in resources and plain:
        text = "if '*' is present, must not specify other resources without subresources"
        found.append(invalid(path, resources, text))


CONDITION_NAMES = ("object", "oldObject", "namespaceObject", "request", "authorizer")


def check_match_conditions(conditions: Any, names_known: Sequence[str], path: str, found: Found) -> None:
    if len(conditions) > 64:
        found.append(FieldError.too_many(path, len(conditions), 64))
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        name, expression = condition.get("name") or "", (condition.get("expression") or "").strip()
        if expression:
            check_expression(expression, names_known, f"{path}[{i}].expression", found)
        else:
            found.append(required(f"{path}[{i}].expression"))
        if not name:
            found.append(required(f"{path}[{i}].name"))
            continue
        for why in names.qualified_name(name):
            found.append(invalid(f"{path}[{i}].name", name, why))
        if name in seen:
            found.append(duplicate(f"{path}[{i}].name", name))
        seen.add(name)
