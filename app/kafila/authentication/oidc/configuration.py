"""A file with an AuthenticationConfiguration (apiserver.config.k8s.io): read strictly, refused in one line with its number.

What needs CEL (expressions) is refused: it is not served yet, and a rule that is not evaluated would let in whom it keeps out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509

from kafila.machinery.configuration import Node, read

API_VERSIONS: Final = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
MOST_ISSUERS: Final = 64
_CEL: Final = "needs CEL, which is not served yet"


class Claim(NamedTuple):
    name: str
    prefix: str = ""


class Issuer(NamedTuple):
    url: str
    audiences: tuple[str, ...]
    username: Claim
    groups: Claim | None = None
    uid: str = ""  # name of the claim
    required: tuple[tuple[str, str], ...] = ()  # claims and the values that they must have
    discovery_url: str = ""
    authority: bytes = b""  # PEM; empty: the system's


class Configuration(NamedTuple):
    issuers: tuple[Issuer, ...] = ()
    anonymous: bool | None = None  # None: the file says nothing about it
    anonymous_paths: frozenset[str] | None = None  # None: all


def read_configuration(content: bytes, own_issuers: Sequence[str] = ()) -> Configuration:
    """``own_issuers``: of service account tokens, which no other issuer may claim. Raises ConfigurationError."""
    root = read(content)
    fields = root.fields("apiVersion", "kind", "jwt", "anonymous")
    _check_type(root, fields)
    listed = fields["jwt"].items() if "jwt" in fields else []
    if len(listed) > MOST_ISSUERS:
        raise fields["jwt"].error(f"must have at most {MOST_ISSUERS} issuers")
    issuers: list[Issuer] = []
    for item in listed:
        issuer = _issuer(item, own_issuers)
        if any(issuer.url == other.url for other in issuers):
            raise item.error(f'the issuer "{issuer.url}" stands there a second time')
        issuers.append(issuer)
    enabled, paths = _anonymous(fields["anonymous"]) if "anonymous" in fields else (None, None)
    return Configuration(tuple(issuers), enabled, paths)


def _check_type(root: Node, fields: dict[str, Node]) -> None:
    version, kind = fields.get("apiVersion", root), fields.get("kind", root)
    if "apiVersion" not in fields or version.text() not in API_VERSIONS:
        raise version.error(f"apiVersion must be {API_VERSIONS[0]}")
    if "kind" not in fields or kind.text() != "AuthenticationConfiguration":
        raise kind.error("kind must be AuthenticationConfiguration")


def _anonymous(node: Node) -> tuple[bool, frozenset[str] | None]:
    fields = node.fields("enabled", "conditions")
    enabled = fields["enabled"].boolean() if "enabled" in fields else False
    if "conditions" not in fields:
        return enabled, None
    paths = []
    for item in fields["conditions"].items():
        condition = item.fields("path")
        if "path" not in condition or not condition["path"].text().startswith("/"):
            raise item.error('needs a path that begins with "/"')
        paths.append(condition["path"].text())
    if paths and not enabled:
        raise fields["conditions"].error("has no meaning where anonymous is not enabled")
    return enabled, frozenset(paths) if paths else None


def _issuer(node: Node, own_issuers: Sequence[str]) -> Issuer:
    fields = node.fields("issuer", "claimMappings", "claimValidationRules", "userValidationRules")
    if fields.get("userValidationRules") and fields["userValidationRules"].items():
        raise fields["userValidationRules"].error(_CEL)
    if "issuer" not in fields:
        raise node.error("needs an issuer")
    if "claimMappings" not in fields:
        raise node.error("needs claimMappings.username")
    url, discovery, authority, audiences = _source(fields["issuer"], own_issuers)
    username, groups, uid = _mappings(fields["claimMappings"])
    rules = fields["claimValidationRules"].items() if "claimValidationRules" in fields else []
    required = tuple(_rule(rule) for rule in rules)
    if len({claim for claim, _ in required}) < len(required):
        raise fields["claimValidationRules"].error("has two rules for one claim")
    return Issuer(url, audiences, username, groups, uid, required, discovery, authority)


def _source(node: Node, own_issuers: Sequence[str]) -> tuple[str, str, bytes, tuple[str, ...]]:
    fields = node.fields(
        "url", "discoveryURL", "certificateAuthority", "audiences", "audienceMatchPolicy", "egressSelectorType"
    )
    if "egressSelectorType" in fields:
        raise fields["egressSelectorType"].error("there is no egress selector here")
    if "url" not in fields:
        raise node.error("needs a url")
    url = _url(fields["url"])
    if url in own_issuers:
        raise fields["url"].error("is the issuer of service account tokens")
    discovery = _url(fields["discoveryURL"]) if "discoveryURL" in fields else ""
    if discovery and discovery == url:
        raise fields["discoveryURL"].error("must not be the same as url")
    audiences = tuple(item.text() for item in fields["audiences"].items()) if "audiences" in fields else ()
    if not audiences or "" in audiences:
        raise fields.get("audiences", node).error("at least one audience is needed, and none may be empty")
    policy = fields["audienceMatchPolicy"].text() if "audienceMatchPolicy" in fields else ""
    if policy not in ("", "MatchAny") or (len(audiences) > 1 and not policy):
        raise fields.get("audienceMatchPolicy", node).error(
            "audienceMatchPolicy must be MatchAny with several audiences"
        )
    authority = fields["certificateAuthority"].text().encode() if "certificateAuthority" in fields else b""
    if authority:
        try:
            x509.load_pem_x509_certificates(authority)
        except ValueError:
            raise fields["certificateAuthority"].error("has no certificates in PEM form") from None
    return url, discovery, authority, audiences


def _url(node: Node) -> str:
    text = node.text()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise node.error("is no URL") from None
    if parts.scheme != "https" or not parts.hostname:
        raise node.error("must be a URL that begins with https://")
    if parts.username is not None or parts.query or parts.fragment or "?" in text or "#" in text:
        raise node.error("must not have a user, a query or a fragment")
    return text


def _mappings(node: Node) -> tuple[Claim, Claim | None, str]:
    fields = node.fields("username", "groups", "uid", "extra")
    if "extra" in fields and fields["extra"].items():
        raise fields["extra"].error(_CEL)
    username = _claim(fields["username"]) if "username" in fields else None
    if username is None:
        raise fields.get("username", node).error("a claim for the username is needed")
    uid = ""
    if "uid" in fields:
        of_uid = fields["uid"].fields("claim", "expression")
        _refuse_expression(of_uid)
        uid = of_uid["claim"].text() if "claim" in of_uid else ""
    return username, _claim(fields["groups"]) if "groups" in fields else None, uid


def _claim(node: Node) -> Claim | None:
    fields = node.fields("claim", "prefix", "expression")
    _refuse_expression(fields)
    claim = fields["claim"].text() if "claim" in fields else ""
    if not claim:
        if "prefix" in fields:
            raise fields["prefix"].error("has no meaning without a claim")
        return None
    if "prefix" not in fields:
        raise node.error("prefix is needed with a claim; empty it says that there is none")
    return Claim(claim, fields["prefix"].text())


def _rule(node: Node) -> tuple[str, str]:
    fields = node.fields("claim", "requiredValue", "expression", "message")
    _refuse_expression(fields)
    if "message" in fields:
        raise fields["message"].error("has no meaning without an expression")
    if "claim" not in fields or not fields["claim"].text():
        raise node.error("needs a claim")
    return fields["claim"].text(), fields["requiredValue"].text() if "requiredValue" in fields else ""


def _refuse_expression(fields: dict[str, Node]) -> None:
    if "expression" in fields and fields["expression"].text():
        raise fields["expression"].error(_CEL)
