"""Tokens that say nothing about whom they are meant for: they are for this API server."""

from __future__ import annotations

from collections.abc import Sequence

from .credentials import Known, TokenAuthenticator


def for_audiences(known: Known, asked: Sequence[str], ours: Sequence[str]) -> Known | None:
    """None where somebody asks for other audiences than ours alone."""
    if not asked:
        return known._replace(audiences=tuple(ours))
    meant = tuple(audience for audience in asked if audience in ours)
    return known._replace(audiences=meant) if meant else None


def for_this_server(authenticate: TokenAuthenticator, ours: Sequence[str]) -> TokenAuthenticator:
    """``ours``: the audiences of this API server."""

    def answered(token: str, audiences: Sequence[str]) -> Known | None:
        if audiences and not set(audiences).intersection(ours):
            return None
        known = authenticate(token, audiences)
        return for_audiences(known, audiences, ours) if known is not None else None

    return answered
