"""A file with an AuthenticationConfiguration (apiserver.config.k8s.io): read strictly, refused in one line with its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509

from kafila.core import names
from kafila.machinery.configuration import Node, read

from .expressions import CLAIMS, USER, Expression, compiled

API_VERSIONS: Final = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
MOST_ISSUERS: Final = 64
_UNVERIFIED: Final = (
    "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or"
    " claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"
)


class Claim(NamedTuple):
    """A claim by its name, or what an expression makes of all of them."""

    name: str
    prefix: str = ""
    expression: Expression | None = None


class Issuer(NamedTuple):
    url: str
    audiences: tuple[str, ...]
    username: Claim
    groups: Claim | None = None
    uid: Claim | None = None
    required: tuple[tuple[str, str], ...] = ()  # claims and the values that they must have
    discovery_url: str = ""
    authority: bytes = b""  # PEM; empty: the system's
    extra: tuple[Expression, ...] = ()
    rules: tuple[Expression, ...] = ()  # over the claims
    user_rules: tuple[Expression, ...] = ()  # over the user that they become

    @property
    def has_expressions(self) -> bool:
        mapped = (self.username, self.groups, self.uid)
        return bool(self.extra or self.rules or self.user_rules) or any(one and one.expression for one in mapped)


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
    if "issuer" not in fields:
        raise node.error("needs an issuer")
    if "claimMappings" not in fields:
        raise node.error("needs claimMappings.username")
    url, discovery, authority, audiences = _source(fields["issuer"], own_issuers)
    username, groups, uid, extra = _mappings(fields["claimMappings"])
    required, rules = _rules(fields.get("claimValidationRules"))
    if username.expression is not None and username.expression.reads("email"):
        if not any(one.reads("email_verified") for one in (username.expression, *extra, *rules)):
            raise fields["claimMappings"].error(_UNVERIFIED)
    user_rules = _user_rules(fields.get("userValidationRules"))
    return Issuer(url, audiences, username, groups, uid, required, discovery, authority, extra, rules, user_rules)


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


def _mappings(node: Node) -> tuple[Claim, Claim | None, Claim | None, tuple[Expression, ...]]:
    """Of the username, the groups, the uid and extras."""
    fields = node.fields("username", "groups", "uid", "extra")
    username = _claim(fields["username"], "prefix") if "username" in fields else None
    if username is None:
        raise fields.get("username", node).error("claim or expression is required")
    groups = _claim(fields["groups"], "prefix") if "groups" in fields else None
    uid = _claim(fields["uid"]) if "uid" in fields else None
    extras: dict[str, Expression] = {}
    for item in fields["extra"].items() if "extra" in fields else ():
        extra = _extra(item)
        if extra.key in extras:
            raise item.error(f'the key "{extra.key}" stands there a second time')
        extras[extra.key] = extra
    return username, groups, uid, tuple(extras.values())


def _claim(node: Node, prefix: str = "") -> Claim | None:
    """``prefix``: the name of that field, "" where there is none."""
    fields = node.fields("claim", *([prefix] if prefix else ()), "expression")
    claim = fields["claim"].text() if "claim" in fields else ""
    expression = fields.get("expression")
    if expression is not None and expression.text():
        if claim:
            raise node.error("claim and expression can't both be set")
        if "prefix" in fields:
            raise fields["prefix"].error("may not be specified when expression is set")
        return Claim("", "", compiled(expression, CLAIMS, rule=False))
    if not claim:
        if "prefix" in fields:
            raise fields["prefix"].error("has no meaning without a claim")
        return None
    if prefix and "prefix" not in fields:
        raise node.error("prefix is needed with a claim; empty it says that there is none")
    return Claim(claim, fields["prefix"].text() if prefix else "")


def _extra(node: Node) -> Expression:
    fields = node.fields("key", "valueExpression")
    key = fields["key"].text() if "key" in fields else ""
    domain, slash, path = key.partition("/")
    where = fields.get("key", node)
    if not slash or not path or names.dns1123_subdomain(domain):
        raise where.error('must be a domain-prefixed path (such as "acme.io/foo")')
    if key != key.lower():
        raise where.error("must be lowercase")
    if any(domain == own or domain.endswith(f".{own}") for own in ("k8s.io", "kubernetes.io")):
        raise where.error("k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use")
    if "valueExpression" not in fields or not fields["valueExpression"].text():
        raise node.error("needs a valueExpression")
    return compiled(fields["valueExpression"], CLAIMS, rule=False, key=key)


def _rules(node: Node | None) -> tuple[tuple[tuple[str, str], ...], tuple[Expression, ...]]:
    """Claims and the values that they must have; expressions that must hold."""
    required: dict[str, str] = {}
    rules: dict[str, Expression] = {}
    for item in node.items() if node is not None else ():
        fields = item.fields("claim", "requiredValue", "expression", "message")
        claim = fields["claim"].text() if "claim" in fields else ""
        expression = fields["expression"].text() if "expression" in fields else ""
        if claim and expression:
            raise item.error("claim and expression can't both be set")
        if expression:
            if "requiredValue" in fields:
                raise fields["requiredValue"].error("may not be specified when expression is set")
            if expression in rules:
                raise fields["expression"].error("stands there a second time")
            message = fields["message"].text() if "message" in fields else ""
            rules[expression] = compiled(fields["expression"], CLAIMS, rule=True, message=message)
            continue
        if not claim:
            raise item.error("claim or expression is required")
        if "message" in fields:
            raise fields["message"].error("may not be specified when claim is set")
        if claim in required:
            raise fields["claim"].error("has two rules for one claim")
        required[claim] = fields["requiredValue"].text() if "requiredValue" in fields else ""
    return tuple(required.items()), tuple(rules.values())


def _user_rules(node: Node | None) -> tuple[Expression, ...]:
    rules: dict[str, Expression] = {}
    for item in node.items() if node is not None else ():
        fields = item.fields("expression", "message")
        if "expression" not in fields or not fields["expression"].text():
            raise item.error("needs an expression")
        source = fields["expression"].text()
        if source in rules:
            raise fields["expression"].error("stands there a second time")
        message = fields["message"].text() if "message" in fields else ""
        rules[source] = compiled(fields["expression"], USER, rule=True, message=message)
    return tuple(rules.values())
