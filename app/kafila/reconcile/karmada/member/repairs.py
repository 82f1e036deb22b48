"""When a copy may be put right again that somebody in the member keeps changing, and what of it is not as wanted. Pure.

Two who disagree about an object would else write to it as fast as they can, without end. The first repairs come at once for
whoever looks: the waits are those of a queue whose key fails (5 ms, doubling).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple, final

from kafila.core.rates import exponential
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.reconcile.queue import BASE_DELAY, MAX_DELAY

SAID: Final = 1.0  # seconds to wait from which on users are told
NAMED: Final = 3  # differences
_LONGEST_NAME: Final = 200
_OF_THE_MEMBER: Final = ("status",)
Version = tuple[str, int]  # UID and generation of a Work


class _Contest(NamedTuple):
    version: Version
    repairs: int
    at: float  # of the last repair
    wait: float  # after it


@final
class Repairs:
    """Of the copies of one cluster, by Work. Times are seconds of a clock that only goes forward."""

    def __init__(self) -> None:
        self._contests: dict[Key, _Contest] = {}

    def wait(self, key: Key, version: Version, now: float) -> float:
        """Seconds until a copy may be put right again; 0: now. A Work that has changed does not wait."""
        found = self._contests.get(key)
        if found is None or found.version != version:
            return 0.0
        return max(0.0, found.at + found.wait - now)

    def is_told(self, key: Key) -> bool:
        """Whether it happens so often that users have to know."""
        found = self._contests.get(key)
        return found is not None and found.wait >= SAID

    def repaired(self, key: Key, version: Version, now: float) -> None:
        """It was put right. What then stays right for longer than the longest wait begins anew."""
        found = self._contests.get(key)
        again = found is not None and found.version == version and now - found.at <= found.wait + MAX_DELAY
        before = found.repairs if found is not None and again else 0
        self._contests[key] = _Contest(version, before + 1, now, exponential(before, BASE_DELAY, MAX_DELAY))

    def forget(self, key: Key) -> None:
        self._contests.pop(key, None)


def undone(manifest: Object, observed: Object | None) -> str:
    """The fields of a manifest that are otherwise in the member, the first ones; "" when there are none. Values are not told."""
    if observed is None:
        return "the object is gone"
    wanted = {field: value for field, value in manifest.items() if field not in _OF_THE_MEMBER}
    return ", ".join(path[:_LONGEST_NAME] for path in islice(_differing(wanted, observed, ""), NAMED))


def _differing(wanted: object, found: object, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for field, value in wanted.items():
            yield from _differing(value, found.get(field), f"{path}.{field}" if path else field)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (value, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _differing(value, other, f"{path}[{index}]")
    elif wanted != found and (wanted or found):  # nothing and an empty value are the same to Kubernetes
        yield path
