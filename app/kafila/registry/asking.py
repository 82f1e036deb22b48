"""Where webhooks come in while a write is prepared: what they are asked, and what becomes of an object that they have changed.

A preparation is a generator. It asks by yielding a :class:`Question`, is sent the object that was admitted, and ends with the
Change. Nothing here waits for anybody: ``admitting`` answers. What no webhook wants to see asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from kafila.admission import Admission
from kafila.admission.webhooks import Attributes, Call
from kafila.admission.webhooks.attributes import namespace_asked
from kafila.admission.webhooks.index import shown_kind
from kafila.catalog.kind import Decode, Kind
from kafila.catalog.tables import schema_of
from kafila.core import errors
from kafila.core.values import Object
from kafila.machinery import managedfields
from kafila.machinery.decode import DecodeError, compile_decoder
from kafila.machinery.redecode import redecoded

from .bound_policies import Match
from .codec import stored_form
from .context import Change, DeleteOptions, Options
from .decoding import decoder_of, typed
from .owners import drop_repeated_owners
from .scale import scale_of, with_replicas

SCALE_SCHEMA: Final = "io.k8s.api.autoscaling.v1.Scale"
BAD_OWNERS: Final = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission "
    "controller; please fix your requests: {}"
)


class Calls(NamedTuple):
    """Webhooks and policies whose rules match a write: whether they select it is not looked at yet."""

    mutating: Sequence[Call]
    validating: Sequence[Call]
    policies: Sequence[Match] = ()  # that validate, likewise
    mutating_policies: Sequence[Match] = ()

    @property
    def mutates(self) -> bool:
        return bool(self.mutating or self.mutating_policies)

    @property
    def validates(self) -> bool:
        return bool(self.validating or self.policies)


class Settle(Protocol):
    def __call__(
        self, document: Object, *, strict: bool = False, was: Object | None = None, decoded: bool = False
    ) -> Object: ...


class Question(NamedTuple):
    """``calls``, ``policies``: that mutate, or that validate. ``settle``: a document that a patch made, as an object again (decoded, defaulted; raises StatusError); ``strict``: unknown
    fields are an error; ``was``: the object that the document was made of, where it shares what is the same; ``decoded``: it has the form
    that decoding gives it.

    ``again``: has the built-in plugins look at an object that webhooks have changed.
    """

    calls: Sequence[Call]
    policies: Sequence[Match]
    asked: Attributes
    options: Options | DeleteOptions
    mutating: bool
    settle: Settle
    again: Callable[[Object], None]


class ToStore(NamedTuple):
    """An object that a webhook has to convert into the version that is stored."""

    kind: Kind
    obj: Object


Steps = Generator[Question | ToStore, Object | None, Change]


def finished(steps: Steps) -> Change:
    """Of a preparation that asks nothing. Raises StatusError 500 where nobody waits for a conversion."""
    try:
        asked = next(steps)
    except StopIteration as done:
        change: Change = done.value
        return change
    assert isinstance(asked, ToStore), "a webhook has to be asked, and nobody waits for it here"
    raise errors.internal_error(
        f"{asked.kind.gvk} is written in the version that is stored when it is written with others"
    )


def stored(kind: Kind, obj: Object) -> Generator[ToStore, Object | None, Object]:
    """``obj`` in the version and form that is stored."""
    if kind.converter is not None and kind.version != kind.storage_version:
        converted = yield ToStore(kind, obj)
        assert converted is not None
        obj = converted
    return stored_form(kind, obj)


def advanced(steps: Steps, answer: Object | None) -> Question | ToStore | Change:
    """The next question, or the outcome."""
    try:
        return steps.send(answer)
    except StopIteration as done:
        change: Change = done.value
        return change


# -- what a webhook is shown ---------------------------------------------------------------------------------------------------


def question(
    kind: Kind,
    operation: str,
    name: str,
    namespace: str,
    new: Object | None,
    old: Object | None,
    options: Options | DeleteOptions,
    calls: Calls,
    *,
    subresource: str = "",
    mutating: bool = False,
    again: Callable[[Object], None] = lambda obj: None,
    settle: Settle | None = None,
) -> Question:
    """``settle``: None for what is stored, which its kind says."""
    if subresource == "scale":
        new, old = (scale_of(kind, each) if each is not None else None for each in (new, old))
    asked = Attributes(
        kind,
        shown_kind(kind, subresource),
        operation,
        name,
        namespace_asked(kind, namespace, name),
        new,
        old,
        options.user,
        subresource,
        options.document(operation) if operation != "CONNECT" else None,
        options.dry_run,
    )
    if settle is None:
        settle = settled_scale if subresource == "scale" else partial(settled, kind)
    if mutating:
        return Question(calls.mutating, calls.mutating_policies, asked, options, True, settle, again)
    return Question(calls.validating, calls.policies, asked, options, False, settle, again)


def settled(
    kind: Kind, document: Object, *, strict: bool = False, was: Object | None = None, decoded: bool = False
) -> Object:
    """An object as it comes out of a patch of admission. Raises StatusError 500, as kube-apiserver."""
    if decoded:
        obj, shares = document, True
    else:
        _check_kind(kind, document)
        found = redecoded(kind.schema, was, document) if was is not None and kind.decode is None else None
        shares = found is not None
        obj = typed(
            kind, found if found is not None else _decoded(decoder_of(kind), document, strict and not kind.custom)
        )
    if not shares or kind.strategy.default_reads_metadata or not _differs_in_metadata_alone(was or {}, document):
        kind.strategy.default(obj)
    return obj


def _differs_in_metadata_alone(was: Object, now: Object) -> bool:
    """Of an object that was defaulted before, and what was made of it sharing the rest: then there is nothing to fill in."""
    if was.keys() != now.keys():
        return False
    for name, part in was.items():  # noqa: SIM110  twice as fast as all(), for every mutation
        if now[name] is not part and name != "metadata":
            return False
    return True


def _decoded(decode: Decode, document: Object, strict: bool) -> Object:
    try:
        decoded, unknown = decode(document)
    except DecodeError as error:
        raise errors.internal_error(str(error)) from error
    if strict and unknown:
        texts = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise errors.internal_error(f"strict decoding error: {texts}")
    return decoded


def settled_scale(
    document: Object, *, strict: bool = False, was: Object | None = None, decoded: bool = False
) -> Object:
    scale = _decoded(compile_decoder(schema_of(SCALE_SCHEMA)), document, strict)
    scale["metadata"] = scale.get("metadata") or {}
    return scale


def _check_kind(kind: Kind, document: Object) -> None:
    """Nothing becomes another kind. What a patch has taken away is taken for granted, as from a client."""
    api_version, name = document.get("apiVersion") or kind.api_version, document.get("kind") or kind.kind
    if (api_version, name) == (kind.api_version, kind.kind):
        return
    if kind.custom:
        found = [errors.FieldError.invalid("kind", name, f"must be {kind.kind}")]
        if name == kind.kind:
            found = [errors.FieldError.invalid("apiVersion", api_version, f"must be {kind.api_version}")]
        raise errors.invalid(kind.group, kind.kind, str((document.get("metadata") or {}).get("name") or ""), found)
    version = str(api_version).rpartition("/")[2]
    internal = kind.group.partition(".")[0] or "core"
    text = f"converting ({version}.{name}) to ({internal}.{kind.kind}): unknown conversion"
    raise errors.StatusError(500, "", text)


# -- what becomes of a changed object ------------------------------------------------------------------------------------------


def asked_to_create(
    kind: Kind, namespace: str, obj: Object, options: Options, calls: Calls, admission: Admission
) -> Generator[Question, Object | None, Object]:
    """The object after what may change it. They do not see what the server gives it afterwards: uid, time, a generated name."""
    metadata = obj["metadata"]
    given = {field: metadata.pop(field) for field in ("uid", "creationTimestamp") if field in metadata}
    owners = metadata.get("managedFields")
    out = yield question(
        kind,
        "CREATE",
        metadata.get("name") or "",
        namespace if kind.namespaced else "",
        obj,
        None,
        options,
        calls,
        mutating=True,
        again=lambda found: admission.mutate(kind, "CREATE", found, None, options.user),
    )
    assert out is not None
    metadata = out["metadata"]
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"):
        metadata.pop(field, None)
    metadata.update(given)
    _check_owners(out, owners, options)
    drop_repeated_owners(metadata, options)
    return out


def asked_to_update(
    kind: Kind,
    old: Object,
    new: Object,
    options: Options,
    subresource: str,
    calls: Calls,
    admission: Admission,
) -> Generator[Question, Object | None, Object]:
    """The object after policies and webhooks that may change it, which see it before what a writer may not change is put back."""
    was = old["metadata"]
    owners = new["metadata"].get("managedFields")
    sent_version = new["metadata"].get("resourceVersion")

    def again(found: Object) -> None:
        if subresource != "scale":
            admission.mutate(kind, "UPDATE", found, old, options.user, subresource)

    out = yield question(
        kind,
        "UPDATE",
        was["name"],
        was.get("namespace", ""),
        new,
        old,
        options,
        calls,
        subresource=subresource,
        mutating=True,
        again=again,
    )
    assert out is not None
    if subresource == "scale":
        return with_replicas(kind, new, out)
    version = out["metadata"].get("resourceVersion")
    if version != sent_version and version not in (None, "", "0", was["resourceVersion"]):
        raise errors.conflict(kind.group, kind.plural, was["name"])
    out["metadata"].setdefault("name", "")  # taken away is changed: validation says that it cannot be
    _check_owners(out, owners, options)
    drop_repeated_owners(out["metadata"], options)
    return out


def asked_to_delete(
    kind: Kind, namespace: str, name: str, old: Object, options: DeleteOptions, calls: Calls
) -> Generator[Question, Object | None, None]:
    """First the mutating ones, which may refuse it too. Of a collection no name is said."""
    name = "" if options.collection else name
    if calls.mutating:
        yield question(kind, "DELETE", name, namespace, None, old, options, calls, mutating=True)
    if calls.validates:
        yield question(kind, "DELETE", name, namespace, None, old, options, calls)


def _check_owners(obj: Object, before: object, options: Options) -> None:
    """What webhooks make of managedFields counts if it can be read."""
    metadata = obj["metadata"]
    if metadata.get("managedFields") == before:
        return
    try:
        managedfields.decode(metadata.get("managedFields") or [])
    except (managedfields.ManagedFieldsError, AttributeError, TypeError, KeyError, ValueError) as error:
        options.warn([BAD_OWNERS.format(error)])
        if before:
            metadata["managedFields"] = before
        else:
            metadata.pop("managedFields", None)
