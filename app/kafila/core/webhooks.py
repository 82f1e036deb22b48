"""What all webhooks that the API server asks have in common: no answer is tried again, as in Kubernetes. Time comes from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .rates import WEBHOOK_FACTOR, exponential

Post = Callable[[bytes], Awaitable[bytes]]  # raises WebhookError
Pause = Callable[[float], Awaitable[object]]


class WebhookError(Exception):
    """It gave no answer. ``again``: another attempt may help."""

    def __init__(self, text: str, again: bool = True) -> None:
        super().__init__(text)
        self.again = again


async def answered(
    post: Post,
    content: bytes,
    attempts: int,
    first_wait: float,
    pause: Pause,
    go_on: Callable[[], bool] = lambda: True,
) -> bytes:
    """``go_on``: whether an answer is still wanted. Raises WebhookError."""
    for attempt in range(attempts - 1):
        try:
            return await post(content)
        except WebhookError as error:
            if not error.again or not go_on():
                raise
        await pause(exponential(attempt, first_wait, factor=WEBHOOK_FACTOR))
    return await post(content)
