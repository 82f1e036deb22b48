"""Which objects the selectors of bindings choose as parameters: looked for once, and followed as objects change."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, final

from kafila.core.selectors import Selector
from kafila.watch import Cache, Entry, Event
from kafila.watch.resource import CHUNK, path_of

MOST_PARAMS: Final = 1_000  # of one binding
MOST_KEPT: Final = 256  # choices: those that were asked for last


class TooManyParams(Exception):
    """More than MOST_PARAMS are selected."""


class _Where(NamedTuple):
    """``namespace``: "" of what has none."""

    resource: str
    namespace: str
    selector: Selector


@final
class _Choice:
    """``found``: by path; one more than MOST_PARAMS where there are too many, and then nobody knows the others."""

    def __init__(self, selector: Selector) -> None:
        self._selector = selector
        self.found: dict[str, Entry] = {}
        self.settled = asyncio.Event()  # all objects have been looked at, or nobody does any more

    @property
    def too_many(self) -> bool:
        return len(self.found) > MOST_PARAMS

    def selects(self, entry: Entry | None) -> bool:
        return entry is not None and self._selector.matches(entry.meta.labels)

    def keep(self, entry: Entry) -> None:
        path = path_of(entry.key.namespace, entry.key.name)
        if path in self.found or not self.too_many:
            self.found[path] = entry


@final
class SelectedParams:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._choices: OrderedDict[_Where, _Choice] = OrderedDict()
        self._near: dict[tuple[str, str], list[_Where]] = {}  # by resource and namespace
        self._heard: set[str] = set()  # resources
        cache.on_reset(self._forget)

    async def chosen(self, resource: str, namespace: str, selector: Selector) -> list[Entry]:
        """In the order of lists. Raises TooManyParams."""
        where = _Where(resource, namespace, selector)
        while True:
            choice = self._choices.get(where)
            if choice is None:
                await self._look(where, self._begin(where))
            elif not choice.settled.is_set():
                await choice.settled.wait()
            elif self._is_current(where, choice):
                self._choices.move_to_end(where)
                if choice.too_many:
                    raise TooManyParams
                return [entry for _, entry in sorted(choice.found.items())]
            else:
                self._drop(where)

    def _begin(self, where: _Where) -> _Choice:
        """Before the first object is looked at it hears of changes, so that none is missed."""
        if where.resource not in self._heard:
            self._heard.add(where.resource)
            self._cache.listen(where.resource, partial(self._on_event, where.resource))
        if len(self._choices) >= MOST_KEPT:
            self._make_room()
        choice = self._choices[where] = _Choice(where.selector)
        self._near.setdefault((where.resource, where.namespace), []).append(where)
        return choice

    def _make_room(self) -> None:
        for where, choice in self._choices.items():
            if choice.settled.is_set():
                self._drop(where)
                return

    async def _look(self, where: _Where, choice: _Choice) -> None:
        """Looks at all objects of the namespace, in turns with others."""
        objects, after = self._cache.resource(where.resource), None
        try:
            while self._choices.get(where) is choice:
                chunk = list(islice(objects.entries(where.namespace, after), CHUNK))
                for entry in chunk:
                    if not choice.too_many and choice.selects(entry):
                        choice.keep(entry)
                if len(chunk) < CHUNK or choice.too_many:
                    return
                after = path_of(chunk[-1].key.namespace, chunk[-1].key.name)
                await asyncio.sleep(0)
        except BaseException:
            if self._choices.get(where) is choice:
                self._drop(where)
            raise
        finally:
            choice.settled.set()

    def _is_current(self, where: _Where, choice: _Choice) -> bool:
        """Nobody hears of an object that cannot be read any more."""
        objects = self._cache.resource(where.resource).objects
        return all(objects.get(path) is entry for path, entry in choice.found.items())

    def _on_event(self, resource: str, event: Event) -> None:
        path = path_of(event.key.namespace, event.key.name)
        for where in list(self._near.get((resource, event.key.namespace), ())):
            choice = self._choices[where]
            if event.new is not None and choice.selects(event.new):
                choice.keep(event.new)
            elif choice.too_many and (path in choice.found or choice.selects(event.old)):
                self._drop(where)  # there may be few enough now
            else:
                choice.found.pop(path, None)

    def _drop(self, where: _Where) -> None:
        del self._choices[where]
        near = self._near[where.resource, where.namespace]
        near.remove(where)
        if not near:
            del self._near[where.resource, where.namespace]

    def _forget(self) -> None:
        self._choices.clear()
        self._near.clear()
