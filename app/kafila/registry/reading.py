"""What a list may ask for (ListOptions), and its answer, one page (k8s.io/apiserver/pkg/storage semantics)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kafila.catalog.builtin.selectable import unknown_field
from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.selectors import FieldRequirement, Selector
from kafila.watch import Cache, Entry

from .codec import decode_entry

Matches = Callable[[Entry], bool]


class ListOptions(NamedTuple):
    namespace: str = ""
    labels: Selector | None = None
    fields: tuple[FieldRequirement, ...] = ()
    limit: int = 0
    token: str = ""  # "continue"
    resource_version: str = ""
    match: str = ""  # resourceVersionMatch
    send_initial: bool = False  # sendInitialEvents was given: only watches may

    @property
    def is_exact(self) -> bool:
        """Whether the list is as of its resourceVersion, not of what is newer."""
        if self.resource_version in ("", "0"):
            return False
        return self.match == "Exact" or (not self.match and self.limit > 0)


class Page(NamedTuple):
    entries: list[Entry]
    revision: int
    token: str = ""
    remaining: int | None = None


def matcher(kind: Kind, options: ListOptions) -> Matches | None:
    """A predicate on entries for the selectors, None when everything matches. Raises StatusError 400."""
    tests: list[Matches] = []
    if options.labels is not None and not options.labels.empty:
        selects = options.labels.matches
        tests.append(lambda entry: selects(entry.meta.labels or {}))
    for requirement in options.fields:
        tests.append(_field_test(kind, requirement))
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda entry: all(test(entry) for test in tests)


def _field_test(kind: Kind, requirement: FieldRequirement) -> Matches:
    field, holds = requirement.field, requirement.holds
    if field == "metadata.name":
        return lambda entry: holds(entry.key.name)
    if field == "metadata.namespace":
        return lambda entry: holds(entry.key.namespace)
    getter = kind.selectable_fields.get(field)
    if getter is None:
        raise errors.bad_request(unknown_field(kind, field))
    return lambda entry: holds(getter(decode_entry(kind, entry)))


def limit_of(options: ListOptions) -> int:
    """0: without a limit."""
    return options.limit if options.resource_version != "0" or options.token else 0


def check_no_version(options: ListOptions) -> None:
    """Raises StatusError 400 where a list that goes on names a revision."""
    if options.resource_version not in ("", "0"):
        raise errors.bad_request("specifying resource version is not allowed when using continue")


def check_match(options: ListOptions) -> None:
    """resourceVersionMatch is only allowed where it means something (internalversion/validation)."""
    field, name = "resourceVersionMatch", options.match
    found: list[errors.FieldError] = []
    if name and not options.resource_version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(errors.FieldError.forbidden(field, why))
    if name and options.token:
        found.append(errors.FieldError.forbidden(field, "resourceVersionMatch is forbidden when continue is provided"))
    if name not in ("", "Exact", "NotOlderThan"):
        found.append(errors.FieldError.not_supported(field, name, ("Exact", "NotOlderThan", "")))
    if name == "Exact" and options.resource_version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.append(errors.FieldError.forbidden(field, why))
    if options.send_initial:
        found.append(errors.FieldError.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if found:
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found)


def parse_resource_version(text: str) -> int:
    """Raises StatusError 400."""
    if not _is_number(text):
        found = errors.FieldError.invalid("resourceVersion", text, _no_number(text))
        raise errors.bad_request(f"invalid resource version: {found}")
    return int(text)


def check_version(text: str) -> None:
    """That the resourceVersion in a written object is a number. Raises StatusError 500, as kube-apiserver does."""
    if text and not _is_number(text):
        raise errors.StatusError(500, "", _no_number(text))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _no_number(text: str) -> str:
    return f'strconv.ParseUint: parsing "{text}": invalid syntax'


async def wait_for(cache: Cache, revision: int) -> None:
    """Until the cache is at least at ``revision``; what lies in the future is answered 504."""
    if revision <= cache.revision:
        return
    await cache.wait_for_consistent_read()
    if revision > cache.revision:
        raise errors.too_large_resource_version(revision, cache.revision)
