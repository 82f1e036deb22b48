"""Interpreter customizations and interpreter webhooks: what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kafila.catalog.karmada.cluster_strategy import plain_url
from kafila.core import gourl
from kafila.core.errors import FieldError
from kafila.core.names import dns1035_label, dns1123_label, dns1123_subdomain, port_number
from kafila.core.values import Object

from .errors import Denied, refuse_if

Found = list[FieldError]

# in the order in which Karmada checks them
_OPERATIONS = {
    "Retain": "retention",
    "InterpretReplica": "replicaResource",
    "InterpretComponent": "componentResource",
    "ReviseReplica": "replicaRevision",
    "InterpretStatus": "statusReflection",
    "AggregateStatus": "statusAggregation",
    "InterpretHealth": "healthInterpretation",
    "InterpretDependency": "dependencyInterpretation",
}
_SUPPORTED = sorted(("*", *_OPERATIONS))
_VERSIONS = ("v1alpha1",)
_FORM = "; desired format: https://host[/path]"


def admit_customization(new: Object, others: Iterable[Object], lua_error: Callable[[str], str | None]) -> None:
    """``others`` may hold ``new`` itself. ``lua_error`` says why a script does not compile, None when it does."""
    target, mine = new["spec"].get("target"), _scripts(new)
    for other in others:
        name = other["metadata"]["name"]
        if name == new["metadata"].get("name") or other["spec"].get("target") != target:
            continue
        theirs = _scripts(other)
        for operation in _OPERATIONS:
            # dependencies add up, so several customizations may name them
            if operation != "InterpretDependency" and operation in mine and operation in theirs:
                raise Denied(
                    f"conflicting with InterpreterOperation({operation}) "
                    f"of existing ResourceInterpreterCustomization({name})"
                )
    for operation, script in mine.items():
        why = lua_error(script)
        if why:
            raise Denied(f"InterpreterOperation({operation}) Lua script error: {why}")


def _scripts(customization: Object) -> dict[str, str]:
    rules = customization["spec"].get("customizations") or {}
    found = {op: (rules.get(field) or {}).get("luaScript") or "" for op, field in _OPERATIONS.items()}
    return {op: script for op, script in found.items() if script}


def admit_webhook_configuration(new: Object) -> None:
    found: Found = []
    names: set[str] = set()
    for index, hook in enumerate(new.get("webhooks") or ()):
        path, name = f"webhooks[{index}]", hook.get("name") or ""
        found += _webhook(hook, path)
        if name in names:
            found.append(FieldError.duplicate(f"{path}.name", name))
        names.add(name)
    refuse_if(found)


def _webhook(hook: Object, path: str) -> Found:
    found = _domain(hook.get("name") or "", f"{path}.name")
    for index, rule in enumerate(hook.get("rules") or ()):
        found += _rule(rule, f"{path}.rules[{index}]")
    timeout = hook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        found.append(FieldError.invalid(f"{path}.timeoutSeconds", timeout, text))
    found += _client(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    return found + _versions(hook.get("interpreterContextVersions") or [], f"{path}.interpreterContextVersions")


def _domain(name: str, path: str) -> Found:
    if not name:
        return [FieldError.required(path)]
    name = name.removesuffix(".")
    if why := dns1123_subdomain(name):
        return [FieldError.invalid(path, name, ",".join(why))]
    labels = name.split(".")
    if len(labels) < 2:
        return [FieldError.invalid(path, name, "should be a domain with at least two segments separated by dots")]
    for label in labels:
        if why := dns1123_label(label):
            return [FieldError.invalid(path, label, ",".join(why))]
    return []


def _rule(rule: Object, path: str) -> Found:
    found = _listed(rule.get("operations") or [], f"{path}.operations", "operations", empty=False)
    for index, operation in enumerate(rule.get("operations") or ()):
        if operation not in _SUPPORTED:
            found.append(FieldError.not_supported(f"{path}.operations[{index}]", operation, _SUPPORTED))
    found += _listed(rule.get("apiGroups") or [], f"{path}.apiGroups", "API groups", empty=False)
    found += _listed(rule.get("apiVersions") or [], f"{path}.apiVersions", "API versions", empty=True)
    return found + _listed(rule.get("kinds") or [], f"{path}.kinds", "kinds", empty=True)


def _listed(values: Sequence[str], path: str, what: str, *, empty: bool) -> Found:
    """``empty``: an element must not be empty (the core group's name is)."""
    found: Found = []
    if not values:
        found.append(FieldError.required(path))
    if len(values) > 1 and "*" in values:
        found.append(FieldError.invalid(path, values, f"if '*' is present, must not specify other {what}"))
    if empty:
        found += [FieldError.required(f"{path}[{index}]") for index, value in enumerate(values) if not value]
    return found


def _client(config: Object, path: str) -> Found:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [FieldError.required(path, "exactly one of url or service is required")]
    if url is not None:
        return _url(url, f"{path}.url")
    assert service is not None
    return _service(service, f"{path}.service")


def _url(text: str, path: str) -> Found:
    try:
        url = gourl.parse(text)
    except ValueError as error:
        return [FieldError.required(path, f"url must be a valid URL: {error}{_FORM}")]
    found: Found = []
    if url.scheme != "https":
        found.append(FieldError.invalid(path, url.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not url.host:
        found.append(FieldError.invalid(path, "", f"host must be specified{_FORM}"))
    return found + plain_url(path, url)


def _service(service: Object, path: str) -> Found:
    found = [FieldError.required(f"{path}.{n}") for n in ("name", "namespace") if not service.get(n)]
    port = service.get("port")
    port = 443 if port is None else port
    if why := port_number(port):
        found.append(FieldError.invalid(f"{path}.port", port, f"port is not valid: {', '.join(why)}"))
    text = service.get("path")
    return found + _service_path(text, f"{path}.path") if text and text != "/" else found


def _service_path(text: str, path: str) -> Found:
    if text == "//":
        return [FieldError.invalid(path, text, "segment[0] may not be empty")]
    found: Found = []
    if not text.startswith("/"):
        found.append(FieldError.invalid(path, text, "must start with a '/'"))
    for index, step in enumerate(text[1:].removesuffix("/").split("/")):
        if not step:
            found.append(FieldError.invalid(path, text, f"segment[{index}] may not be empty"))
        else:
            found += [FieldError.invalid(path, text, f"segment[{index}]: {why}") for why in dns1123_subdomain(step)]
    return found


def _versions(versions: Sequence[str], path: str) -> Found:
    accepted = ", ".join(_VERSIONS)
    if not versions:
        return [FieldError.required(path, f"must specify one of {accepted}")]
    found: Found = []
    seen: set[str] = set()
    for index, version in enumerate(versions):
        at = f"{path}[{index}]"
        if version in seen:
            found.append(FieldError.invalid(at, version, "duplicate version"))
            continue
        seen.add(version)
        found += [FieldError.invalid(at, version, why) for why in dns1035_label(version)]
    if not seen.intersection(_VERSIONS):
        found.append(FieldError.invalid(path, versions, f"must include at least one of {accepted}"))
    return found
