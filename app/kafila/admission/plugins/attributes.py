"""What a plugin is asked about a write, and what it may look at beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from kafila.catalog.kind import Kind
from kafila.core import errors
from kafila.core.values import Object


class Attributes(NamedTuple):
    """``operation`` is CREATE or UPDATE; ``old`` is None for CREATE."""

    kind: Kind
    operation: str
    new: Object
    old: Object | None
    user: Any
    subresource: str = ""

    @property
    def namespace(self) -> str:
        """Of a Namespace its own name."""
        metadata = self.new["metadata"]
        name: str = metadata.get("namespace" if self.kind.namespaced else "name") or ""
        return name

    def refused(self, text: str) -> errors.StatusError:
        """403."""
        metadata = self.new["metadata"]
        name = metadata.get("name") or metadata.get("generateName") or ""
        return errors.forbidden(self.kind.group, self.kind.plural, name, text)


class Lookups(NamedTuple):
    """``objects``: all objects of a resource; ``within``: those of a resource in a namespace; ``one``: one of them."""

    objects: Callable[[str], Iterable[Object]]
    within: Callable[[str, str], Iterable[Object]]
    one: Callable[[str, str, str], Object | None]


def _nothing(*_: str) -> tuple[()]:
    return ()


NOTHING: Final = Lookups(_nothing, _nothing, lambda resource, namespace, name: None)
# changes attributes.new in place; raises StatusError
Mutator = Callable[[Attributes, Lookups], None]
# returns warnings; raises StatusError
Validator = Callable[[Attributes, Lookups], Iterable[str]]
