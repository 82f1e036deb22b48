"""What the generic registry has to know about a kind. Built-in kinds, Karmada's and CRDs' differ only in this data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from kafila.core.errors import FieldError
from kafila.core.resources import GroupVersionKind, group_resource
from kafila.core.values import Object
from kafila.machinery.schema import Schema

# object -> (new object, paths of fields that were dropped); raises DecodeError
Decode = Callable[[Object], tuple[Object, list[str]]]


class Column(NamedTuple):
    """A column of ``meta.k8s.io/v1 Table``."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


class Scale(NamedTuple):
    """JSON paths of the scale subresource, e.g. (".spec.replicas", ".status.replicas", ".status.selector")."""

    spec_replicas: str
    status_replicas: str
    label_selector: str = ""


class Requester(Protocol):
    """Who sends a request."""

    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def extra(self) -> tuple[tuple[str, tuple[str, ...]], ...]: ...


def user_info(user: Requester) -> Object:
    """As ``UserInfo`` of authentication.k8s.io, without what is empty."""
    found: Object = {}
    if user.name:
        found["username"] = user.name
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {name: list(values) for name, values in user.extra}
    return found


def _nothing(obj: Object) -> None:
    return None


def _valid(obj: Object) -> list[FieldError]:
    return []


def _valid_update(new: Object, old: Object) -> list[FieldError]:
    return []


def _unchanged(new: Object, old: Object) -> None:
    return None


def _unsigned(obj: Object, user: Requester) -> None:
    return None


def _valid_write(new: Object, old: Object, subresource: str) -> list[FieldError]:
    return []


def _free(obj: Object) -> bool:
    return False


@dataclass(slots=True)
class Strategy:
    """What the API server does to an object of this kind on its way in (Kubernetes' registry strategies).

    All functions take the decoded object; those named ``prepare`` and ``default`` change it in place.
    """

    default: Callable[[Object], None] = _nothing
    default_reads_metadata: bool = False  # what it fills in depends on metadata, or is put there
    sign: Callable[[Object, Requester], None] = _unsigned  # puts who creates it into a new object
    prepare_for_create: Callable[[Object], None] = _nothing
    prepare_for_update: Callable[[Object, Object], None] = _unchanged
    prepare_status: Callable[[Object, Object], None] = _unchanged
    validate: Callable[[Object], list[FieldError]] = _valid
    validate_create: Callable[[Object], list[FieldError]] = (
        _valid  # what is asked of new objects only, besides validate
    )
    validate_update: Callable[[Object, Object], list[FieldError]] = _valid_update
    # where what is asked of new and of changed objects does not come after the rest: all that is asked of them
    validate_new: Callable[[Object], list[FieldError]] | None = None
    validate_changed: Callable[[Object, Object], list[FieldError]] | None = None
    # what is asked of a change of status, instead of all of the above; None: the same as of other changes
    validate_status: Callable[[Object, Object], list[FieldError]] | None = None
    warnings: Callable[[Object], list[str]] = field(default=lambda obj: [])  # of a new object
    # of a changed one; None: the same, when the change raises the generation
    update_warnings: Callable[[Object, Object | None], list[str]] | None = None
    # subresources that write a part of the spec: what may come through (changes ``new``), and its checks instead of validate_update
    views: Mapping[str, tuple[Callable[[Object, Object], None], Callable[[Object, Object], list[FieldError]]]] = field(
        default_factory=dict
    )
    # which checks of metadata the kind's own validation of a change repeats: each finding is a cause of its own, once more
    metadata_checks: tuple[Literal["new", "update"], ...] = ("update",)
    # subresources that write a part of the status: what may come through (changes ``new``)
    prepare_subresource: Mapping[str, Callable[[Object, Object], None]] = field(default_factory=dict)
    # what is asked of every change besides, by the subresource that is written
    validate_write: Callable[[Object, Object, str], list[FieldError]] = _valid_write
    # by subresource: fields that a writer does not own though it may send them (GetResetFields)
    reset_fields: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    # metadata.name: returns the reasons why it is not allowed (core.names has the usual ones)
    name_rule: Callable[[str, bool], list[str]] | None = None
    # does the change from old to new raise metadata.generation? None: the kind has no generation
    generation_fields: tuple[str, ...] | None = ("spec",)
    status: bool = True  # has .status that the main resource must not change
    plain_selector: bool = False  # spec.selector is a map of labels
    unconditional_update: bool = True
    create_on_update: bool = False
    returns_deleted_object: bool = False
    graceful: bool = False  # pods
    undeletable: frozenset[str] = frozenset()  # names
    is_held: Callable[[Object], bool] = _free  # whether more than finalizers keeps an object that is deleted
    prepare_for_delete: Callable[[Object], None] = _nothing  # changes an object that is marked as deleted
    begin_deletion: Callable[[Object, str], Object] | None = None  # (object, now) -> marked; None: as all others
    deletes_like_a_write: bool = False  # what is wrong with preconditions of a deletion is worded as for an update
    slow_to_check: bool = False  # even a small object may take long
    keeps_empty_lists: bool = False  # also of fields that Go writes as null
    created: Callable[[bytes], bytes] | None = None  # what a create is answered with; None: with what is stored
    # what becomes of dependents when nobody says it; None: the kind has none, and whatever is said is not heard
    dependents: Literal["Background", "Orphan"] | None = "Background"
    orphan_warning: str = ""  # of a deletion that left that open
    # a status write changes no metadata but managedFields; else it may change what is not named in ``kept_by_status``
    status_metadata: bool = True
    # fields whose feature is off: nobody can set them
    disabled: tuple[tuple[str, ...], ...] = ()
    kept_by_status: tuple[str, ...] = ()


class Conversion(NamedTuple):
    """Of a CustomResourceDefinition whose versions a webhook converts. ``versions``: apiVersions of all of them, also unserved."""

    definition: str
    client: Object  # WebhookClientConfig
    reviews: tuple[str, ...]  # conversionReviewVersions
    versions: frozenset[str]


class Converter(Protocol):
    """Has objects converted by their webhook. Entries are those of ``watch``."""

    def known(self, kind: Any, entry: Any) -> bytes: ...  # raises StatusError where it was not converted yet

    async def shown(self, kind: Any, entries: Sequence[Any]) -> list[Any]: ...  # raises StatusError

    async def stored(self, kind: Any, obj: Object) -> Object: ...  # raises StatusError

    async def between(self, kind: Any, target: Any, obj: Object) -> Object: ...  # raises StatusError


@dataclass(slots=True)
class Kind:
    """One served group, version and kind."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    verbs: tuple[str, ...]
    schema: Schema
    strategy: Strategy
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()  # "status", "scale", "token" …
    scale: Scale | None = None
    storage_resource: str = ""  # where objects live when that is another resource: events.k8s.io's are "events"
    storage_version: str = ""  # version whose bodies are stored; "" when it is this one
    to_storage: Callable[[Object], Object] | None = None  # conversions, when the shapes differ
    from_storage: Callable[[Object], Object] | None = None
    selectable_fields: dict[str, Callable[[Object], str]] = field(default_factory=dict)
    columns: Sequence[Column] = (Column("Name", format="name"), Column("Created At", "date"))
    cells: Callable[[Object, float], list[Any]] | None = None  # (object, now) -> one value per column
    custom: bool = False  # from a CustomResourceDefinition: no protobuf, no strategic merge
    definition: str = ""  # name of the CustomResourceDefinition; "" for kinds of the server itself
    list_kind: str = ""  # of its lists, when it is not the kind's name with List behind
    decode: Decode | None = None  # brings a request's object into shape; None: the schema does
    document: Object | None = None  # the schema as its author wrote it, for OpenAPI
    deprecation: str = ""  # the warning for clients of a deprecated version
    terminating: bool = False  # its definition is being deleted: no new objects
    conversion: Conversion | None = None  # None: versions differ in apiVersion alone, or there is one
    stored_as: Callable[[Object], str] | None = None  # apiVersion of a stored body; None: that of the kind
    converter: Converter | None = None  # who asks the webhook; None: nobody does, as without one
    protobuf: str = ""  # full message name, "" when the kind has no protobuf form
    api_version: str = field(init=False)
    gvk: GroupVersionKind = field(init=False)
    # the key of storage: GroupResource, the same for all versions (and groups that share their objects)
    resource: str = field(init=False)

    def __post_init__(self) -> None:
        self.api_version = f"{self.group}/{self.version}" if self.group else self.version
        self.gvk = GroupVersionKind(self.group, self.version, self.kind)
        self.resource = self.storage_resource or group_resource(self.group, self.plural)

    @property
    def error_group(self) -> str:
        """The group that errors about an object name: that of what is stored (events are of the core group)."""
        return self.resource.partition(".")[2]

    @property
    def list_name(self) -> str:
        return self.list_kind or f"{self.kind}List"
