"""Who asks for what: the request as the verbs see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, final

from kafila.core.values import Object
from kafila.store.interface import Guard, Write

FieldValidation = Literal["Ignore", "Warn", "Strict"]
Propagation = Literal["Background", "Foreground", "Orphan"]
# key, value, whether it is only for events that have the request's body; of the audit event of the request
Annotate = Callable[[str, str, bool], None]
OPTIONS_GROUP: Final = "meta.k8s.io/v1"


class User(NamedTuple):
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()  # what else is known, e.g. by which credential


SYSTEM_ADMIN = User("system:admin", ("system:masters", "system:authenticated"))


@final
@dataclass(slots=True)
class Options:
    """Options of a write (CreateOptions, UpdateOptions, PatchOptions). The verbs fill ``warnings``."""

    user: User = SYSTEM_ADMIN
    manager: str = "karmada-controller-manager"  # the field manager that managedFields names
    dry_run: bool = False
    field_validation: FieldValidation = "Ignore"
    force: bool = False  # server-side apply takes over conflicting fields
    include_status: bool = False  # controllers: write spec and status in one write
    size: int = 0  # bytes of the request: what is big is worked on in a thread
    warnings: list[str] | None = None  # None: nobody reads them, as with all that controllers write
    before_create: Callable[[], Awaitable[None]] | None = None  # server-side apply: raises where it may not create
    sent: Mapping[str, str] | None = None  # the parameters of a request; None: a controller's
    annotate: Annotate | None = None  # None: the request is not recorded
    admitted: bool = False  # webhooks have been asked about the request that leads to it

    def warn(self, texts: Iterable[str]) -> None:
        if self.warnings is not None:
            self.warnings.extend(texts)

    def document(self, operation: str) -> Object:
        """CreateOptions or UpdateOptions, as webhooks and policies are shown them."""
        found: Object = {"kind": f"{operation.capitalize()}Options", "apiVersion": OPTIONS_GROUP}
        if self.dry_run:
            found["dryRun"] = ["All"]
        if self.sent is None:
            return {**found, "fieldManager": self.manager}
        for name in ("fieldManager", "fieldValidation"):
            if self.sent.get(name):
                found[name] = self.sent[name]
        return found


@final
@dataclass(slots=True)
class DeleteOptions:
    user: User = SYSTEM_ADMIN
    dry_run: bool = False
    uid: str = ""  # preconditions
    resource_version: str = ""
    propagation: Propagation | None = None
    grace_period: int | None = None
    sent: Object | None = None  # the DeleteOptions of a request, as far as they are not the fields above
    collection: bool = False  # one of those that a list selected
    warnings: list[str] | None = None
    annotate: Annotate | None = None
    admitted: bool = False  # webhooks have been asked about the request that leads to it

    def warn(self, texts: Iterable[str]) -> None:
        if self.warnings is not None:
            self.warnings.extend(texts)

    def document(self, operation: str) -> Object:
        """DeleteOptions, as webhooks and policies are shown them."""
        found: Object = {"kind": "DeleteOptions", "apiVersion": OPTIONS_GROUP, **(self.sent or {})}
        if self.grace_period is not None:
            found["gracePeriodSeconds"] = self.grace_period
        wanted = {"uid": self.uid, "resourceVersion": self.resource_version}
        if preconditions := {field: value for field, value in wanted.items() if value}:
            found["preconditions"] = preconditions
        if self.propagation is not None and "orphanDependents" not in found:
            found["propagationPolicy"] = self.propagation
        if self.dry_run:
            found["dryRun"] = ["All"]
        return found


class Change(NamedTuple):
    """A write that is ready to be committed. ``body`` is the resulting object (its last state when it is deleted).

    ``admit``: webhooks have to be asked first; it gives what is to be committed in its place, and raises StatusError.
    """

    guards: tuple[Guard, ...]
    writes: tuple[Write, ...]
    body: bytes
    deleted: bool = False
    unchanged: bool = False  # nothing to write: the object is already so
    admit: Callable[[], Awaitable[Any]] | None = None
