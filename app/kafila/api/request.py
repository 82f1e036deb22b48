"""What a request asks for, read from its path and query (k8s.io/apiserver RequestInfo)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast, final
from urllib.parse import parse_qsl

from kafila.authentication.chain import Authentication
from kafila.authorization import Authorizer
from kafila.core import errors
from kafila.core.remembered import remembered
from kafila.flowcontrol.fairness import Seat
from kafila.identity.tokens import Tokens
from kafila.registry import Options, User
from kafila.registry.context import DeleteOptions, Propagation

from .auditing import Record
from .outgoing import OUTGOING


class Target(NamedTuple):
    """``/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}/{subresource}/{rest}``."""

    group: str
    version: str
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""  # what follows "proxy"
    watch: bool = False  # the legacy /watch/ prefix


# subresources of a namespace that are not kinds inside it
_OF_NAMESPACES = frozenset({"status", "finalize"})


def parse_target(path: str) -> Target | None:
    """None when ``path`` is not below /api/VERSION or /apis/GROUP/VERSION."""
    above, _, name = path.rpartition("/")
    collection = _collection(above) if name else None
    if collection is not None:  # an object of a namespace, whose collection is known
        return Target(collection.group, collection.version, collection.plural, collection.namespace, name)
    return _parsed(path)


@remembered(1024)
def _collection(path: str) -> Target | None:
    """The target of ``…/namespaces/NAMESPACE/PLURAL``, below which a single segment is a name; else None."""
    if path.endswith("/") or "//" in path:
        return None  # what follows may stand behind an empty segment
    target = _parsed(path)
    return target if target is not None and target.namespace and not target.name and not target.watch else None


@remembered(1024)
def _parsed(path: str) -> Target | None:
    # "", "api", version, …   or   "", "apis", group, version, …
    if path.startswith("/api/"):
        _, _, version, *rest = path.split("/")
        group = ""
    elif path.startswith("/apis/") and path.count("/") > 2:
        _, _, group, version, *rest = path.split("/")
    else:
        return None
    if not version:
        return None
    if rest and not rest[-1] and "proxy" not in rest:
        rest.pop()
    if "" in rest[:2]:
        return Target(group, version, "\0")  # an empty segment: no such resource
    watch = bool(rest) and rest[0] == "watch"
    if watch:
        rest = rest[1:]
    if not rest:
        return Target(group, version)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _OF_NAMESPACES:
        namespace, rest = rest[1], rest[2:]
    if len(rest) < 3:
        return Target(group, version, rest[0], namespace, rest[1] if len(rest) > 1 else "", watch=watch)
    plural, name, subresource, *tail = rest
    return Target(group, version, plural, namespace, name, subresource, "/".join(tail), watch)


class Asking(Protocol):
    """What a request asks for, whichever way it goes."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def target(self) -> Target | None: ...
    @property
    def query(self) -> dict[str, str]: ...
    @property
    def user(self) -> User: ...
    @property
    def authorizer(self) -> Authorizer | None: ...
    def flag(self, name: str) -> bool: ...


@final
@dataclass(slots=True)
class Request:
    method: str
    path: str
    target: Target | None
    query: dict[str, str]
    headers: dict[bytes, bytes]
    user: User
    sent_headers: Sequence[tuple[bytes, bytes]] = ()  # as they came: one may come several times
    authentication: Authentication | None = None  # of tokens that the request asks about
    authorizer: Authorizer | None = None  # of what else the request turns out to do
    tokens: Tokens | None = None  # what service accounts are given; None: none are
    body: bytes = b""
    raw_path: str = ""  # as it came, encoded
    raw_query: str = ""
    push: Callable[[bytes], bool] | None = None  # a short way to the client, for finished chunks of a stream
    lost: Callable[[Callable[[], None] | None], None] | None = None  # takes whom to call when the client has left
    certified: bool = False  # its connection has shown a client certificate
    switchable: bool = False  # it asks for another protocol, and the connection can be taken over
    chunks: bool = True  # whether the client can be sent a body whose length is not known: not before HTTP/1.1
    warnings: list[str] = field(default_factory=list)
    audit: Record | None = None  # None: nothing of it is recorded
    seat: Seat | None = None  # that it occupies; None: requests are not counted
    held: int = 0  # bytes of the answer that are kept until it is read

    async def hold(self, size: int) -> None:
        """Waits until an answer of so many bytes may be made and kept. Raises StatusError 429."""
        await OUTGOING.take(size)
        self.held += size

    def let_go(self) -> None:
        OUTGOING.give(self.held)

    def flag(self, name: str) -> bool:
        """A boolean parameter as Kubernetes reads it: everything but "0" and "false" is true."""
        given = self.query.get(name)
        return given is not None and given not in ("", "0") and given.lower() != "false"

    def number(self, name: str) -> int | None:
        """An integer parameter, None when it is not given. Raises StatusError 400."""
        given = self.query.get(name)
        if not given:
            return None
        digits = given[1:] if given[0] in "+-" else given
        if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            raise errors.bad_request(f'strconv.ParseInt: parsing "{given}": invalid syntax')
        return int(given)

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def media_type(self) -> str:
        return self.header(b"content-type").partition(";")[0].strip().lower()

    @property
    def has_sound_media_type(self) -> bool:
        """Whether every parameter of Content-Type has a value."""
        _, *parameters = self.header(b"content-type").split(";")
        return not parameters or all("=" in part for part in parameters if part.strip())

    @property
    def manager(self) -> str:
        """The field manager: the parameter, else the user agent up to its first slash."""
        given = self.query.get("fieldManager")
        if given:
            if len(given) > 128:
                found = [errors.FieldError.too_long("fieldManager", 128)]
                raise errors.invalid("meta.k8s.io", self.options_kind, "", found)
            for at, character in enumerate(given):
                if not character.isprintable():
                    why = f"invalid character U+{ord(character):04X} (at position {at})"
                    found = [errors.FieldError.invalid("fieldManager", given, why)]
                    raise errors.invalid("meta.k8s.io", self.options_kind, "", found)
            return given
        return (self.header(b"user-agent").partition("/")[0] or "unknown")[:128]

    @property
    def options_kind(self) -> str:
        """What the options of a write are called: errors name it."""
        return {"PUT": "UpdateOptions", "PATCH": "PatchOptions"}.get(self.method, "CreateOptions")

    def options(self) -> Options:
        kind = self.options_kind
        validation = self.query.get("fieldValidation") or "Warn"
        if validation not in ("Ignore", "Warn", "Strict"):
            found = [errors.FieldError.not_supported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"])]
            raise errors.invalid("meta.k8s.io", kind, "", found)
        return Options(
            user=self.user,
            manager=self.manager,
            dry_run=dry_run(self.query.get("dryRun"), kind),
            field_validation=validation,  # type: ignore[arg-type]
            force=self.flag("force"),
            size=len(self.body),
            warnings=self.warnings,
            sent=self.query,
            annotate=self.audit.annotate if self.audit is not None else None,
        )

    def delete_options(self, document: dict[str, Any] | None) -> DeleteOptions:
        """From a DeleteOptions body, which is decoded, or else from the query: with a body the query counts for nothing."""
        if document is None:
            given: dict[str, Any] = {
                "propagationPolicy": self.query.get("propagationPolicy"),
                "gracePeriodSeconds": self.number("gracePeriodSeconds"),
            }
            if "orphanDependents" in self.query:
                given["orphanDependents"] = self.flag("orphanDependents")
            dry = self.query.get("dryRun")
        else:
            given = document
            dry = ",".join(given.get("dryRun") or ()) or None
        preconditions = given.get("preconditions") or {}
        return DeleteOptions(
            user=self.user,
            dry_run=dry_run(dry, "DeleteOptions"),
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            propagation=propagation(given.get("propagationPolicy"), given.get("orphanDependents")),
            grace_period=given.get("gracePeriodSeconds"),
            sent={"orphanDependents": given["orphanDependents"]} if given.get("orphanDependents") is not None else None,
            warnings=self.warnings,
            annotate=self.audit.annotate if self.audit is not None else None,
        )


def propagation(policy: str | None, orphan: bool | None) -> Propagation | None:
    """What becomes of dependents, from the new parameter or the old one. Raises StatusError 422."""
    path = "propagationPolicy"
    if policy and orphan is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [errors.FieldError.invalid(path, policy, why)])
    if policy not in (None, "", "Background", "Foreground", "Orphan"):
        found = errors.FieldError.not_supported(path, policy, ("Foreground", "Background", "Orphan", "nil"))
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [found])
    if orphan is not None:
        return "Orphan" if orphan else "Background"
    return cast("Propagation | None", policy or None)


def dry_run(value: str | None, kind: str = "CreateOptions") -> bool:
    if value is None:
        return False
    if value != "All":
        found = [errors.FieldError.not_supported("dryRun", [value], ["All"])]
        raise errors.invalid("meta.k8s.io", kind, "", found)
    return True


def parse_query(raw: bytes) -> dict[str, str]:
    """The first value of each parameter."""
    if not raw:
        return {}
    out: dict[str, str] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        out.setdefault(name, value)
    return out
