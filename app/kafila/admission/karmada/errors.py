"""How a refusal of a webhook reaches the client."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kafila.core.errors import FieldError, StatusError, aggregate, gathered, shown


class Denied(Exception):
    """A rule says no. ``reason`` and ``code`` are those of the webhook's Status."""

    def __init__(self, message: str, reason: str = "Forbidden", code: int = 403) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.code = code


def denied(webhook: str, refusal: Denied) -> StatusError:
    message = f'admission webhook "{webhook}" denied the request: {refusal.message}'
    return StatusError(refusal.code, refusal.reason, message)


def within_limits(rule: Callable[[], None]) -> None:
    """Follows ``rule``, which raises Refused; where too much is wrong, with what it found first."""

    def check() -> list[FieldError]:
        rule()
        return []

    refuse_if(gathered(check))


def refuse_if(found: Iterable[FieldError]) -> None:
    """Raises Refused with all findings, as an aggregate of errors prints them."""
    text = aggregate(map(str, shown(found)))
    if text:
        raise Denied(text)
