"""Lists piece by piece: pages as long as their bytes allow, so that decoding one does not hold the event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from kafila.core.values import Object
from kafila.settings.answers import AnswerLimits

from .answers import status_error
from .shapes import items_of, mapping
from .transport import TooLong, UnusableAnswer

FIRST_PAGE: Final = 100  # items
LONGEST_PAGE: Final = 1000
PAGE_BYTES: Final = 512 * 1024  # some 3 ms of decoding
SHORTER: Final = 8  # by what a page is shortened that would be too long

# A query to status and body. Raises Unreachable, TooLong and others.
Ask = Callable[[Mapping[str, str]], Awaitable[tuple[int, bytes]]]


class Page(NamedTuple):
    answer: Object  # the list as it came
    items: list[Object]
    metadata: Object


async def pages(
    ask: Ask,
    what: str,
    query: Mapping[str, str],
    limits: AnswerLimits,
    *,
    first: int = FIRST_PAGE,
    wanted: int = 0,
    read: Callable[[Object, str], list[Object]] = items_of,
) -> AsyncGenerator[Page, None]:
    """Until the list ends, or ``wanted`` items (0: all) have come. ``what`` is asked for; ``read`` finds the items of an answer.

    Raises what ``ask`` raises, StatusError for every status but 200, UnusableAnswer for what is no list or has no end.
    """
    limit, found, came = first, 0, 0
    asked = dict(query)
    while True:
        asked["limit"] = str(min(limit, wanted - found) if wanted else limit)
        try:
            status, body = await ask(asked)
            if status != 200:
                raise status_error(status, body)
            answer = mapping(body, what)
        except TooLong:
            if limit == 1:
                raise
            limit = max(1, limit // SHORTER)
            continue
        items, metadata = read(answer, what), answer.get("metadata") or {}
        found += len(items)
        came += max(1, len(items))  # pages of nothing end as well
        if came > limits.objects:
            raise UnusableAnswer(f"the answer to {what} has more than {limits.objects} objects")
        yield Page(answer, items, metadata)
        if not metadata.get("continue") or 0 < wanted <= found:
            return
        asked["continue"] = metadata["continue"]
        asked.pop("resourceVersion", None)  # the token has it
        asked.pop("resourceVersionMatch", None)
        limit = max(1, min(LONGEST_PAGE, limit * PAGE_BYTES // max(1, len(body))))
