"""A file with an EncryptionConfiguration (apiserver.config.k8s.io): read strictly, refused in one line with its number.

The words are kube-apiserver's (k8s.io/apiserver/pkg/apis/apiserver/validation, server/options/encryptionconfig).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from kafila.machinery.configuration import ConfigurationError, Node, read

API_VERSION: Final = "apiserver.config.k8s.io/v1"
KIND: Final = "EncryptionConfiguration"
MOST: Final = 256  # entries of each list
LONGEST_NAME: Final = 253  # bytes of a key's or a provider's name, which is stored with every body
LONGEST_TIMEOUT: Final = 60.0
DEFAULT_TIMEOUT: Final = 3.0
KEY_SIZES: Final = {"aesgcm": (16, 24, 32), "aescbc": (16, 24, 32), "secretbox": (32,)}
_PROVIDERS: Final = ("kms", "aesgcm", "aescbc", "secretbox", "identity")
_NOT_SERVED: Final = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


class Secret(bytes):
    """A key, which no message and no traceback shows."""

    def __repr__(self) -> str:
        return "REDACTED"


class NamedKey(NamedTuple):
    name: str
    secret: Secret


class Local(NamedTuple):
    """A provider whose keys stand in the file: the first one seals, all of them open."""

    algorithm: str  # one of KEY_SIZES
    keys: tuple[NamedKey, ...]


class Remote(NamedTuple):
    """A KMS v2 plugin."""

    name: str
    path: str  # of its socket
    timeout: float  # seconds for an answer


class Identity(NamedTuple):
    """In clear."""


Provider = Local | Remote | Identity


class Rule(NamedTuple):
    """Its first provider seals what is written to these resources, the others open what was sealed before."""

    resources: tuple[str, ...]  # "secrets", "deployments.apps", "*." (the core group), "*.apps", "*.*"
    providers: tuple[Provider, ...]


class Configuration(NamedTuple):
    rules: tuple[Rule, ...]


def read_configuration(content: bytes) -> Configuration:
    """Raises ConfigurationError."""
    root = read(content)
    fields = root.fields("apiVersion", "kind", "resources")
    version, kind = fields.get("apiVersion", root), fields.get("kind", root)
    if "apiVersion" not in fields or version.text() != API_VERSION:
        raise version.error(f"apiVersion must be {API_VERSION}")
    if "kind" not in fields or kind.text() != KIND:
        raise kind.error(f"kind must be {KIND}")
    listed = _items(fields, "resources", root)
    names: set[str] = set()
    rules: list[Rule] = []
    for item in listed:
        rule = _rule(item, names)
        _check_masked(item, rule, rules)
        rules.append(rule)
    return Configuration(tuple(rules))


def _items(fields: dict[str, Node], name: str, node: Node, shown: str = "") -> list[Node]:
    """At least one. ``shown``: how kube-apiserver calls the list."""
    found = fields[name].items() if name in fields else []
    if not found:
        path = f"{node.path}.{name}".strip(".")
        raise fields.get(name, node.missing(name)).error(f"Required value: at least one {shown or path} is required")
    if len(found) > MOST:
        raise fields[name].error(f"must have at most {MOST} entries")
    return found


def _invalid(node: Node, value: object, reason: str) -> ConfigurationError:
    return node.error(f"Invalid value: {orjson.dumps(value).decode()}: {reason}")


def _rule(node: Node, names: set[str]) -> Rule:
    fields = node.fields("resources", "providers")
    resources = _items(fields, "resources", node)
    texts = [item.text() for item in resources]
    _check_overlap(fields["resources"], texts)
    for item, text in zip(resources, texts, strict=True):
        _check_resource(item, text)
    providers = tuple(_provider(item, names) for item in _items(fields, "providers", node))
    return Rule(tuple(texts), providers)


def split(resource: str) -> tuple[str, str]:
    """``"deployments.apps"`` → ``("deployments", "apps")``; the core group is ""."""
    plural, _, group = resource.partition(".")
    return plural, group


def _check_overlap(node: Node, resources: Sequence[str]) -> None:
    if len(set(map(split, resources))) < len(resources):
        raise _invalid(node, list(resources), "the same resource cannot be specified multiple times")
    groups = [split(each)[1] for each in resources]
    for resource in resources:
        plural, group = split(resource)
        if (resource == "*.*" and len(resources) > 1) or (plural == "*" and groups.count(group) > 1):
            why = "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed"
            raise _invalid(node, list(resources), f"{why} as they will be masked")


def _check_resource(node: Node, resource: str) -> None:
    plural, group = split(resource)
    reason = ""
    if resource.lower() != resource:
        reason = "resource name should not contain capital letters"
    elif resource == "*":
        reason = "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
    elif resource in _NOT_SERVED:
        reason = "resources which do not have REST API/s cannot be encrypted"
    elif group == "events.k8s.io":
        reason = "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"
    elif group == "extensions":
        reason = "'extensions' group has been removed and cannot be used for encryption"
    elif group == "*" and plural != "*":
        reason = "encrypting the same resource across groups is not supported"
    if reason:
        raise _invalid(node, resource, reason)


def _check_masked(node: Node, rule: Rule, earlier: Sequence[Rule]) -> None:
    before = [resource for other in earlier for resource in other.resources]
    for resource in rule.resources:
        for mask in (f"*.{split(resource)[1]}", "*.*"):
            if mask in before:
                raise node.error(f'resource "{resource}" is masked by earlier rule "{mask}"')


def _provider(node: Node, names: set[str]) -> Provider:
    fields = node.fields(*_PROVIDERS)
    if not fields:
        why = "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
        raise node.error(why)
    if len(fields) > 1:
        why = "more than one provider specified in a single element, should split into different list elements"
        raise node.error(why)
    name, found = next(iter(fields.items()))
    if name == "identity":
        found.fields()
        return Identity()
    return _remote(found, names) if name == "kms" else _local(found, name)


def _local(node: Node, algorithm: str) -> Local:
    keys = tuple(_key(item, KEY_SIZES[algorithm]) for item in _items(node.fields("keys"), "keys", node, "keys"))
    if len({key.name for key in keys}) < len(keys):
        raise node.error("the name of a key stands there a second time")
    return Local(algorithm, keys)


def _key(node: Node, sizes: Sequence[int]) -> NamedKey:
    fields = node.fields("name", "secret")
    name = fields["name"].text() if "name" in fields else ""
    if not name:
        raise fields.get("name", node.missing("name")).error("Required value: name is a mandatory field for a key")
    if ":" in name or len(name.encode()) > LONGEST_NAME:
        raise _invalid(fields["name"], name, f"must not contain ':' and have no more than {LONGEST_NAME} bytes")
    text = fields["secret"].text() if "secret" in fields else ""
    if not text:
        raise fields.get("secret", node.missing("secret")).error(
            "Required value: secret is a mandatory field for a key"
        )
    try:
        secret = base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(fields["secret"], "REDACTED", "secrets must be base64 encoded") from None
    if len(secret) not in sizes:
        expected = f"[{' '.join(map(str, sizes))}]"
        why = f"secret is not of the expected length, got {len(secret)}, expected one of {expected}"
        raise _invalid(fields["secret"], "REDACTED", why)
    return NamedKey(name, Secret(secret))


def _remote(node: Node, names: set[str]) -> Remote:
    fields = node.fields("apiVersion", "name", "endpoint", "timeout", "cachesize")
    version = fields["apiVersion"].text() if "apiVersion" in fields else "v1"
    if version == "v1":
        why = "KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead."
        raise fields.get("apiVersion", node).error(f"{why} kafila has no KMSv1: set apiVersion: v2")
    if version != "v2":
        why = "unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported"
        raise _invalid(fields["apiVersion"], version, why)
    name = fields["name"].text() if "name" in fields else ""
    if not name:
        raise fields.get("name", node.missing("name")).error("Required value: name is a mandatory field for a provider")
    if ":" in name:
        raise _invalid(fields["name"], name, f"invalid KMS provider name {name}, must not contain ':'")
    if len(name.encode()) > LONGEST_NAME:
        raise _invalid(fields["name"], name, f"must have no more than {LONGEST_NAME} bytes")
    if name in names:
        why = f"duplicate KMS provider name {name}, names must be unique"
        raise _invalid(fields["name"], name, why)
    names.add(name)
    if "cachesize" in fields:
        raise fields["cachesize"].error(
            f"Invalid value: {fields['cachesize'].scalar()}: cachesize is not supported in v2"
        )
    timeout = _seconds(fields["timeout"]) if "timeout" in fields else DEFAULT_TIMEOUT
    return Remote(name, _socket(fields.get("endpoint"), node), timeout)


def _seconds(node: Node) -> float:
    text = node.text()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise _invalid(node, text, "must be a duration such as 3s")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise _invalid(node, text, "timeout should be a positive value")
    if seconds > LONGEST_TIMEOUT:
        raise _invalid(node, text, f"must be at most {LONGEST_TIMEOUT:.0f}s")
    return seconds


def _socket(node: Node | None, parent: Node) -> str:
    text = node.text() if node is not None else ""
    if node is None or not text:
        raise _invalid(node or parent.missing("endpoint"), "", "endpoint is a mandatory field for a kms")
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise _invalid(node, text, f"invalid endpoint for kms provider, error: {error}") from None
    if parts.scheme != "unix":
        why = f'unsupported scheme "{parts.scheme}" for KMS provider, only unix is supported'
        raise _invalid(node, text, why)
    path = f"{parts.netloc}{parts.path}"
    if not path.startswith(("/", "@")) or len(path.encode()) > 107:
        raise _invalid(node, text, "must be unix:// and the path of a socket of at most 107 bytes")
    return f"\0{path[1:]}" if path.startswith("@") else path
