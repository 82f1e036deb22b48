"""Who asks for what: the request as the verbs see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

from kafila.store.interface import Guard, Write

FieldValidation = Literal["Ignore", "Warn", "Strict"]
Propagation = Literal["Background", "Foreground", "Orphan"]


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

    def warn(self, texts: Iterable[str]) -> None:
        if self.warnings is not None:
            self.warnings.extend(texts)


@final
@dataclass(slots=True)
class DeleteOptions:
    user: User = SYSTEM_ADMIN
    dry_run: bool = False
    uid: str = ""  # preconditions
    resource_version: str = ""
    propagation: Propagation | None = None
    grace_period: int | None = None


class Change(NamedTuple):
    """A write that is ready to be committed. ``body`` is the resulting object (its last state when it is deleted)."""

    guards: tuple[Guard, ...]
    writes: tuple[Write, ...]
    body: bytes
    deleted: bool = False
    unchanged: bool = False  # nothing to write: the object is already so
