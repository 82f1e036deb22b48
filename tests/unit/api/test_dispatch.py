"""Whoever looks for a subresource finds it in one of two tables."""

from __future__ import annotations

from kafila.api.dispatch import STREAMED, SUBRESOURCES
from kafila.catalog.catalog import builtin_kinds
from kafila.catalog.karmada.kinds import kinds as karmada_kinds

PUBLISHED = {(kind.resource, name) for kind in (*builtin_kinds(), *karmada_kinds()) for name in kind.subresources}


def test_every_subresource_that_is_published_has_its_place() -> None:
    lost = {
        (resource, name)
        for resource, name in PUBLISHED - STREAMED
        if (resource, name) not in SUBRESOURCES and ("", name) not in SUBRESOURCES
    }
    assert lost == set()


def test_no_table_has_what_is_not_published() -> None:
    assert {row for row in (*SUBRESOURCES, *STREAMED) if row[0]} <= PUBLISHED
