"""What is read of stored FederatedHPAs, once for each revision: most looks find the same as the last one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, final

import orjson

from kafila.autoscaling.sources import Question, question
from kafila.catalog.kind import Kind
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.registry.codec import decode_entry
from kafila.watch import Entry

from .contenders import Target, target_of

LONGEST: Final = 4096  # bytes of a spec that is kept decoded


class Asked(NamedTuple):
    """A spec without the target, and what has to be asked for its metrics. Autoscalers that say the same have one. Do not change it."""

    spec: Object
    questions: Sequence[Question | None]


class Autoscaler(NamedTuple):
    entry: Entry
    uid: str
    reference: Object  # its scaleTargetRef
    target: Target
    asked: Asked


@final
class Autoscalers:
    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._known: dict[Key, Autoscaler] = {}

    def read(self, entry: Entry) -> Autoscaler:
        known = self._known.get(entry.key)
        if known is not None and known.entry is entry:
            return known
        obj = self.decode(entry)
        spec = {field: value for field, value in obj["spec"].items() if field != "scaleTargetRef"}
        text = orjson.dumps(spec)
        is_kept = len(text) <= LONGEST
        asked = _kept(text) if is_kept else _asked(spec)
        found = Autoscaler(entry, obj["metadata"]["uid"], obj["spec"]["scaleTargetRef"], target_of(obj), asked)
        if is_kept:
            self._known[entry.key] = found
        return found

    def decode(self, entry: Entry) -> Object:
        """All of it."""
        return decode_entry(self._kind, entry)

    def forget(self, key: Key) -> None:
        self._known.pop(key, None)

    def clear(self) -> None:
        self._known.clear()


@lru_cache(maxsize=4096)
def _kept(spec: bytes) -> Asked:
    return _asked(orjson.loads(spec))


def _asked(spec: Object) -> Asked:
    return Asked(spec, tuple(question(metric) for metric in spec.get("metrics") or ()))
