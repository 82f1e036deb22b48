"""What a request asks for, read from its path and query (k8s.io/apiserver RequestInfo)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, cast, final
from urllib.parse import parse_qsl, unquote

from app.core import errors
from app.registry import Options, User
from app.registry.context import DeleteOptions, Propagation


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
    parts = path.split("/")
    # "", "api", version, …   or   "", "apis", group, version, …
    if parts[1] == "api" and len(parts) > 2 and parts[2]:
        group, version, rest = "", parts[2], parts[3:]
    elif parts[1] == "apis" and len(parts) > 3 and parts[3]:
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return None
    if rest and not rest[-1] and "proxy" not in rest:
        rest.pop()
    watch = bool(rest) and rest[0] == "watch"
    if watch:
        rest = rest[1:]
    if not rest:
        return Target(group, version)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in _OF_NAMESPACES):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *tail = [*rest, "", "", ""][: max(3, len(rest))]
    return Target(
        group, version, plural, namespace, unquote(name), subresource, "/".join(tail).rstrip() if tail else "", watch
    )


@final
@dataclass(slots=True)
class Request:
    method: str
    path: str
    target: Target | None
    query: dict[str, str]
    headers: dict[bytes, bytes]
    user: User
    body: bytes = b""
    raw_query: str = ""
    warnings: list[str] = field(default_factory=list)

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true", "t")

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def media_type(self) -> str:
        return self.header(b"content-type").partition(";")[0].strip().lower()

    @property
    def manager(self) -> str:
        """The field manager: the parameter, else the user agent up to its first slash."""
        given = self.query.get("fieldManager")
        if given:
            if len(given) > 128:
                found = [errors.FieldError.too_long("fieldManager", 128)]
                raise errors.invalid("meta.k8s.io", "CreateOptions", "", found)
            return given
        return (self.header(b"user-agent").partition("/")[0] or "unknown")[:128]

    def options(self) -> Options:
        validation = self.query.get("fieldValidation") or "Warn"
        if validation not in ("Ignore", "Warn", "Strict"):
            found = [errors.FieldError.not_supported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"])]
            raise errors.invalid("meta.k8s.io", "CreateOptions", "", found)
        return Options(
            user=self.user,
            manager=self.manager,
            dry_run=dry_run(self.query.get("dryRun")),
            field_validation=validation,  # type: ignore[arg-type]
            force=self.flag("force"),
            warnings=self.warnings,
        )

    def delete_options(self, document: dict | None) -> DeleteOptions:
        """From the query, overridden by a DeleteOptions body."""
        given = document or {}
        preconditions = given.get("preconditions") or {}
        propagation = given.get("propagationPolicy") or self.query.get("propagationPolicy")
        orphan = given.get("orphanDependents", self.query.get("orphanDependents"))
        if orphan is not None and not propagation:
            propagation = "Orphan" if str(orphan).lower() in ("true", "1") else "Background"
        if propagation not in (None, "", "Background", "Foreground", "Orphan"):
            why = errors.FieldError.not_supported(
                "propagationPolicy", propagation, ["Background", "Foreground", "Orphan"]
            )
            raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [why])
        grace = given.get("gracePeriodSeconds", self.query.get("gracePeriodSeconds"))
        dry = given.get("dryRun")
        return DeleteOptions(
            user=self.user,
            dry_run=dry_run(",".join(dry) if dry else self.query.get("dryRun")),
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
            propagation=cast("Propagation | None", propagation or None),
            grace_period=int(grace) if grace not in (None, "") else None,
        )


def dry_run(value: str | None) -> bool:
    if not value:
        return False
    if value != "All":
        found = [errors.FieldError.not_supported("dryRun", [value], ["All"])]
        raise errors.invalid("meta.k8s.io", "CreateOptions", "", found)
    return True


def parse_query(raw: bytes) -> dict[str, str]:
    """The first value of each parameter."""
    if not raw:
        return {}
    out: dict[str, str] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        out.setdefault(name, value)
    return out
