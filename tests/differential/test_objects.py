"""The scripts that ask about every kind have objects of every kind: one that a newer Kubernetes brings is missed here first."""

from __future__ import annotations

from differential.scripts.objects import samples
from kafila.catalog.catalog import builtin_kinds

WRITTEN = {
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
}  # scripts of its own, with objects of what it defines


def test_every_kind_that_is_stored_has_objects() -> None:
    stored = {(kind.api_version, kind.kind) for kind in builtin_kinds() if {"create", "get"} <= set(kind.verbs)}
    assert {(sample.kind.api_version, sample.kind.kind) for sample in samples()} == stored - WRITTEN
