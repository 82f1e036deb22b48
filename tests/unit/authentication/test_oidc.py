"""OpenID Connect: the file is read strictly, keys come and go, claims become users."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from kafila.authentication.oidc.claims import user_of
from kafila.authentication.oidc.configuration import Claim, Configuration, Issuer, read_configuration
from kafila.authentication.oidc.issuer import LATEST, SOONEST, FetchError, OIDCIssuer
from kafila.authentication.oidc.issuers import Issuers
from kafila.authentication.users import InvalidCredential
from kafila.identity.certificates import new_authority, new_signing_key
from kafila.machinery.configuration import ConfigurationError

URL = "https://issuer.example.com"
GOOD = f"""\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: {URL}
    audiences: [kafila]
  claimMappings:
    username: {{claim: sub, prefix: "oidc:"}}
    groups:
      claim: groups
      prefix: ""
    uid:
      claim: sub
  claimValidationRules:
  - claim: tenant
    requiredValue: acme
anonymous:
  enabled: true
  conditions:
  - path: /livez
"""


def test_a_configuration_is_read() -> None:
    found = read_configuration(GOOD.encode())
    required = (("tenant", "acme"),)
    wanted = Issuer(URL, ("kafila",), Claim("sub", "oidc:"), Claim("groups"), Claim("sub"), required)
    assert (found.issuers, found.anonymous, found.anonymous_paths) == ((wanted,), True, frozenset({"/livez"}))
    as_json = json.dumps({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"})
    assert read_configuration(as_json.encode()).issuers == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("apiserver.config.k8s.io/v1", "v1", "line 1: apiVersion: apiVersion must be apiserver.config.k8s.io/v1"),
        ("AuthenticationConfiguration", "Other", "line 2: kind: kind must be AuthenticationConfiguration"),
        ("    audiences: [kafila]", "    audience: [kafila]", 'line 6: jwt[0].issuer: unknown field "audience"'),
        ("    audiences: [kafila]\n", "", "at least one audience is needed"),
        ("[kafila]", '[""]', "line 6: jwt[0].issuer.audiences: at least one audience is needed, and none may be empty"),
        ("[kafila]", "[a, b]", "audienceMatchPolicy must be MatchAny with several audiences"),
        ("[kafila]", "kafila", "line 6: jwt[0].issuer.audiences: must be a list"),
        (URL, "http://issuer.example.com", "line 5: jwt[0].issuer.url: must be a URL that begins with https://"),
        (URL, f"{URL}?a=b", "line 5: jwt[0].issuer.url: must not have a user, a query or a fragment"),
        (URL, "https://a:b@c", "line 5: jwt[0].issuer.url: must not have a user, a query or a fragment"),
        (URL, "https://own.example.com", "line 5: jwt[0].issuer.url: is the issuer of service account tokens"),
        ('claim: sub, prefix: "oidc:"', "claim: sub", "prefix is needed with a claim"),
        (
            'claim: sub, prefix: "oidc:"',
            "expression: claim.sub",
            "line 8: jwt[0].claimMappings.username.expression: compilation failed: ERROR: <input>:1:1: undeclared reference to 'claim' (in container '')",
        ),
        ('claim: sub, prefix: "oidc:"', "claim: sub, expression: claims.sub", "claim and expression can't both be set"),
        (
            'claim: sub, prefix: "oidc:"',
            'expression: claims.sub, prefix: "a"',
            "line 8: jwt[0].claimMappings.username.prefix: may not be specified when expression is set",
        ),
        ('claim: sub, prefix: "oidc:"', "expression: claims.email", "claims.email_verified must be used in"),
        ('claim: sub, prefix: "oidc:"', 'prefix: "x"', "has no meaning without a claim"),
        ("claim: tenant\n    requiredValue: acme", "expression: string(claims.x)", "expression: must evaluate to bool"),
        ("claim: tenant\n    requiredValue: acme", "expression: claims.x", "expression: must evaluate to bool"),
        ("claim: tenant", "expression: 'true'", "requiredValue: may not be specified when expression is set"),
        ("claim: tenant\n    requiredValue: acme", "message: a", "claim or expression is required"),
        ("    requiredValue: acme", "    message: a", "message: may not be specified when claim is set"),
        (
            "    requiredValue: acme",
            "    requiredValue: 1",
            "line 16: jwt[0].claimValidationRules[0].requiredValue: must be a text",
        ),
        (
            "anonymous:",
            "  userValidationRules: [{expression: user.name == ''}]\nanonymous:",
            "userValidationRules[0].expression: compilation failed: ERROR: <input>:1:5: undefined field 'name'",
        ),
        (
            "    uid:\n",
            "    extra: [{key: a, valueExpression: claims.b}]\n    uid:\n",
            "line 12: jwt[0].claimMappings.extra[0].key: must be a domain-prefixed path",
        ),
        ("    uid:\n", "    extra: [{key: a.b/C, valueExpression: a}]\n    uid:\n", "key: must be lowercase"),
        ("    uid:\n", "    extra: [{key: a.k8s.io/c, valueExpression: a}]\n    uid:\n", "are reserved for Kubernetes"),
        ("    uid:\n", "    extra: [{key: a.b/c}]\n    uid:\n", "extra[0]: needs a valueExpression"),
        ("  enabled: true", "  enabled: maybe", "line 18: anonymous.enabled: must be true or false"),
        ("path: /livez", "path: livez", 'line 20: anonymous.conditions[0]: needs a path that begins with "/"'),
        ("    uid:\n", "    username: {}\n    uid:\n", "stands here a second time"),
        ("kind:", "kind: [", "line 2: did not find expected"),
        (
            "    audiences: [kafila]",
            "    audiences: [kafila]\n    certificateAuthority: x",
            "line 7: jwt[0].issuer.certificateAuthority: has no certificates",
        ),
        (
            "    audiences: [kafila]",
            "    audiences: [kafila]\n    egressSelectorType: x",
            "there is no egress selector here",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as refused:
        read_configuration(GOOD.replace(old, new, 1).encode(), ["https://own.example.com"])
    assert said in str(refused.value)
    assert str(refused.value).startswith("line ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"- a", b"a: &a [*a]", b"\xff", b"{" * 5000, b"a: b\n---\nc: d", b"null"])
def test_what_is_no_configuration_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError):
        read_configuration(content)


ISSUER = Issuer(
    URL, ("kafila", "other"), Claim("sub", "oidc:"), Claim("groups", "g:"), Claim("uid"), (("tenant", "acme"),)
)
CLAIMS = {"sub": "jane", "tenant": "acme", "uid": "7", "groups": ["a", "b"], "jti": "x"}


def test_claims_become_a_user() -> None:
    user = user_of(CLAIMS, ISSUER)
    assert (user.name, user.groups, user.uid) == ("oidc:jane", ("g:a", "g:b"), "7")
    assert user.extra == (("authentication.kubernetes.io/credential-id", ("JTI=x",)),)
    assert user_of({**CLAIMS, "groups": "one"}, ISSUER).groups == ("g:one",)
    assert user_of({**CLAIMS, "groups": None}, ISSUER).groups == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": ""},
        {"sub": 1},
        {"sub": ["jane"]},
        {"tenant": "other"},
        {"tenant": ["acme"]},
        {"tenant": None},
        {"uid": 7},
        {"groups": {"a": "b"}},
        {"groups": ["a", 1]},
        {"groups": 5},
    ],
)
def test_claims_that_are_not_as_they_have_to_be(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidCredential):
        user_of({**CLAIMS, **changed}, ISSUER)


def test_an_email_counts_when_it_is_verified() -> None:
    by_email = Issuer(URL, ("a",), Claim("email"))
    assert user_of({"email": "a@b"}, by_email).name == "a@b"
    assert user_of({"email": "a@b", "email_verified": True}, by_email).name == "a@b"
    for verified in (False, "true", 1):
        with pytest.raises(InvalidCredential):
            user_of({"email": "a@b", "email_verified": verified}, by_email)


EXPRESSIONS = f"""\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: {URL}
    audiences: [kafila]
  claimMappings:
    username: {{expression: '"corp:" + claims.email'}}
    groups: {{expression: 'claims.roles.split(",") + claims.?teams.orValue([])'}}
    uid: {{expression: 'string(claims.number)'}}
    extra:
    - {{key: acme.io/tenant, valueExpression: claims.?tenant.orValue("")}}
    - {{key: acme.io/names, valueExpression: '[string(claims.email), ""]'}}
  claimValidationRules:
  - {{expression: claims.?email_verified.orValue(true) == true, message: the address is not verified}}
  - {{expression: claims.exp - claims.iat <= 3600.0}}
  userValidationRules:
  - {{expression: "!user.username.startsWith('system:') && user.groups.all(g, !g.startsWith('system:'))", message: kept}}
  - {{expression: "user.uid != '0' && !('acme.io/bad' in user.extra)"}}
"""
EMAIL = {"email": "a@b", "roles": "x,,y", "number": 7, "exp": 3600, "iat": 0}


def test_expressions_make_a_user() -> None:
    (issuer,) = read_configuration(EXPRESSIONS.encode()).issuers
    assert issuer.has_expressions
    assert not ISSUER.has_expressions
    user = user_of({**EMAIL, "teams": ["z"]}, issuer)
    assert (user.name, user.groups, user.uid) == ("corp:a@b", ("x", "y", "z"), "7")
    assert user.extra == (("acme.io/names", ("a@b",)),)
    assert user_of({**EMAIL, "tenant": "t"}, issuer).extra[0] == ("acme.io/tenant", ("t",))
    assert read_configuration(EXPRESSIONS.encode()).issuers == (issuer,)  # nothing changed: nothing is exchanged


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"email": 1},
            "error evaluating username claim expression: expression '\"corp:\" + claims.email' resulted in error: no such overload",
        ),
        ({"email": None}, "resulted in error: no such overload"),
        (
            {"teams": [1]},
            "error evaluating group claim expression: expression must return a string or a list of strings",
        ),
        (
            {"tenant": 1},
            'extra claim expression: claims.?tenant.orValue(""): expression must return a string or a list',
        ),
        ({"number": [1]}, "error evaluating uid claim expression: "),
        (
            {"email_verified": False},
            "error evaluating claim validation expression: validation expression"
            " 'claims.?email_verified.orValue(true) == true' failed: the address is not verified",
        ),
        ({"exp": 3601}, "validation expression 'claims.exp - claims.iat <= 3600.0' failed: "),
        ({"iat": "a"}, "error evaluating claim validation expression: expression 'claims.exp - "),
        ({"roles": "system:masters"}, "error evaluating user info validation rule: validation expression"),
        ({"number": 0}, "failed: "),
        ({"x": 10**400}, "oidc: a claim is no JSON that an expression can read"),
    ],
)
def test_expressions_refuse(changed: dict[str, Any], said: str) -> None:
    (issuer,) = read_configuration(EXPRESSIONS.encode()).issuers
    with pytest.raises(InvalidCredential) as refused:
        user_of({**EMAIL, **changed}, issuer)
    assert said in str(refused.value)


def test_an_expression_ends_when_it_has_cost_enough() -> None:
    long = EXPRESSIONS.replace(
        "claims.exp - claims.iat <= 3600.0", "'dyn(claims.n).all(a, dyn(claims.n).all(b, dyn(claims.n).all(c, true)))'"
    )
    (issuer,) = read_configuration(long.encode()).issuers
    started = time.monotonic()
    with pytest.raises(InvalidCredential, match="operation cancelled: actual cost limit exceeded"):
        user_of({**EMAIL, "n": [0] * 300}, issuer)
    assert time.monotonic() - started < 30


def test_a_name_that_an_expression_makes_is_not_empty() -> None:
    (issuer,) = read_configuration(EXPRESSIONS.replace('"corp:" + claims.email', "claims.nick").encode()).issuers
    with pytest.raises(InvalidCredential, match="empty username via CEL expression is not allowed"):
        user_of({**EMAIL, "nick": ""}, issuer)
    with pytest.raises(InvalidCredential, match="username claim expression must return a string"):
        user_of({**EMAIL, "nick": 1}, issuer)


class Keys:
    """An issuer's documents, and how often they were asked for."""

    def __init__(self) -> None:
        self.pairs: dict[str, bytes] = {}
        self.asked = 0
        self.fails = False
        self.now = 0.0
        self.document: Any = {"issuer": URL, "jwks_uri": f"{URL}/keys"}

    def add(self, name: str) -> None:
        self.pairs[name] = new_signing_key().key

    def jwk(self, name: str) -> dict[str, Any]:
        said = RSAAlgorithm.to_jwk(load_pem_private_key(self.pairs[name], None).public_key(), as_dict=True)  # type: ignore[arg-type]
        return {**said, "kid": name, "use": "sig", "alg": "RS256"}

    async def fetch(self, url: str, authority: bytes) -> Any:
        self.asked += 1
        if self.fails:
            raise FetchError("it is away")
        return {"keys": [self.jwk(name) for name in self.pairs]} if url.endswith("/keys") else self.document

    def issuer(self, issuer: Issuer = ISSUER) -> OIDCIssuer:
        return OIDCIssuer(issuer, ["api"], self.fetch, lambda: self.now)

    def token(self, name: str, algorithm: str = "RS256", key: Any = None, **changed: Any) -> str:
        claims = {"iss": URL, "aud": "kafila", "exp": time.time() + 600, **CLAIMS, **changed}
        claims = {claim: value for claim, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.pairs[name], algorithm, headers={"kid": name})


@pytest.fixture
def keys() -> Keys:
    keys = Keys()
    keys.add("one")
    return keys


async def test_tokens_are_verified_and_remembered(keys: Keys) -> None:
    issuer, token = keys.issuer(), keys.token("one")
    assert issuer.remembered(token, ()) is None
    known = await issuer.authenticate(token, ())
    assert known is not None
    assert (known.user.name, known.audiences) == ("oidc:jane", ("api",))
    assert issuer.remembered(token, ()) == known
    assert keys.asked == 2
    assert await issuer.authenticate(keys.token("one", iss="https://elsewhere"), ()) is None
    assert await issuer.authenticate("nonsense", ()) is None
    assert await issuer.authenticate(token, ["vault"]) is None
    assert keys.asked == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "else"},
        {"aud": None},
        {"aud": {"kafila": 1}},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 4_000_000_000},
        {"tenant": "else"},
    ],
    ids=str,
)
async def test_tokens_that_are_refused(keys: Keys, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidCredential):
        await keys.issuer().authenticate(keys.token("one", **changed), ())


async def test_expressions_over_a_token(keys: Keys) -> None:
    (issuer,) = read_configuration(EXPRESSIONS.encode()).issuers
    now = int(time.time())
    given: dict[str, Any] = {**EMAIL, "exp": now + 600, "iat": now}
    known = await keys.issuer(issuer).authenticate(keys.token("one", **given), ())
    assert known is not None
    assert known.user.name == "corp:a@b"
    with pytest.raises(InvalidCredential, match="failed: kept"):
        await keys.issuer(issuer).authenticate(keys.token("one", **{**given, "roles": "system:masters"}), ())


async def test_only_what_the_issuer_signed_counts(keys: Keys) -> None:
    issuer, public = keys.issuer(), keys.jwk("one")
    stranger = generate_private_key(SECP256R1())
    assert ECAlgorithm.to_jwk(stranger.public_key())
    unsigned = jwt.encode({"iss": URL, **CLAIMS}, None, "none")  # type: ignore[arg-type]
    hmac = jwt.encode(
        {"iss": URL, "aud": "kafila", "exp": time.time() + 60, **CLAIMS}, public["n"], "HS256", headers={"kid": "one"}
    )
    for token in (keys.token("one", "ES256", stranger), keys.token("two", key=new_signing_key().key), unsigned, hmac):
        with pytest.raises(InvalidCredential):
            await issuer.authenticate(token, ())
    assert await issuer.authenticate(keys.token("one", "PS512"), ()) is not None


async def test_keys_are_exchanged(keys: Keys) -> None:
    issuer = keys.issuer()
    assert await issuer.authenticate(keys.token("one"), ()) is not None
    keys.add("two")
    with pytest.raises(InvalidCredential):  # we have looked a moment ago: nobody makes us ask again and again
        await issuer.authenticate(keys.token("two"), ())
    assert keys.asked == 2
    keys.now += SOONEST
    assert await issuer.authenticate(keys.token("two"), ()) is not None
    for _ in range(50):
        with pytest.raises(InvalidCredential):
            await issuer.authenticate(keys.token("three", key=new_signing_key().key), ())
    assert keys.asked == 4
    old = keys.token("one", uid="8")
    del keys.pairs["one"]
    assert await issuer.authenticate(old, ()) is not None
    keys.now += LATEST + 1
    with pytest.raises(InvalidCredential):  # it was withdrawn
        await issuer.authenticate(old, ())


async def test_without_the_issuer_the_keys_that_are_known_stay(keys: Keys) -> None:
    issuer = keys.issuer()
    assert await issuer.authenticate(keys.token("one"), ()) is not None
    keys.fails = True
    keys.now += LATEST + 1
    assert await issuer.authenticate(keys.token("one", uid="9"), ()) is not None
    other = Keys()
    other.add("one")
    other.fails = True
    for _ in range(20):
        with pytest.raises(InvalidCredential):
            await other.issuer().authenticate(other.token("one"), ())


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://elsewhere", "jwks_uri": f"{URL}/keys"},
        {"issuer": URL},
        {"issuer": URL, "jwks_uri": "http://issuer.example.com/keys"},
        {"issuer": URL, "jwks_uri": "file:///etc/passwd"},
        [],
        None,
    ],
)
async def test_a_discovery_document_of_somebody_else_is_none(keys: Keys, document: Any) -> None:
    keys.document = document
    with pytest.raises(InvalidCredential):
        await keys.issuer().authenticate(keys.token("one"), ())


async def test_of_many_issuers_the_one_that_is_named_is_asked(keys: Keys) -> None:
    issuers = Issuers(["api"], keys.fetch)
    other = ISSUER._replace(url="https://other.example.com")
    issuers.replace(Configuration((other, ISSUER), True, frozenset({"/livez"})))
    token = keys.token("one")
    known = await issuers.authenticate(token, ())
    assert known is not None
    assert issuers.remembered(token, ()) == known
    for stranger in (keys.token("one", iss="https://third.example.com"), "x", "a.b.c"):
        assert await issuers.authenticate(stranger, ()) is None
    with pytest.raises(InvalidCredential):  # signed by the other one's neighbour
        await issuers.authenticate(keys.token("one", iss=other.url), ())
    assert [issuers.allows_anonymous(path) for path in ("/livez", "/livez/x", "/api")] == [True, False, False]
    issuers.replace(Configuration())
    assert issuers.remembered(token, ()) is None
    assert await issuers.authenticate(token, ()) is None
    assert issuers.allows_anonymous("/api") is None


def test_an_authority_of_its_own_is_read() -> None:
    pem = new_authority("x").certificate.decode().replace("\n", "\n      ")
    text = GOOD.replace("    audiences: [kafila]", f"    audiences: [kafila]\n    certificateAuthority: |\n      {pem}")
    assert b"BEGIN CERTIFICATE" in read_configuration(text.encode()).issuers[0].authority
