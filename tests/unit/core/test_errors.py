"""What is shown of many findings, and what is ignored."""

from __future__ import annotations

import pytest

from kafila.core.errors import (
    MOST_ALIKE,
    MOST_TEXT,
    FieldError,
    StatusError,
    ignoring_not_found,
    invalid,
    not_found,
    shown,
)


def test_findings_that_are_alike_are_listed_some_times_and_others_all() -> None:
    scopes = [f"s{i}" for i in range(100)]
    alike = [FieldError.invalid("spec.scopes", scopes, "unsupported scope") for _ in scopes]
    others = [FieldError.invalid(f"spec.hard[{i}]", scopes, "unsupported") for i in range(40)]
    others += [FieldError.invalid("spec.hard", text, "unsupported") for text in scopes]
    found = shown([*alike, *others])
    assert found == alike[:MOST_ALIKE] + others
    status = invalid("", "ResourceQuota", "a", alike).status()
    assert len(status["details"]["causes"]) == MOST_ALIKE
    assert status["message"].count("unsupported scope") == 1


def test_what_is_listed_ends_with_the_text() -> None:
    found = [FieldError.invalid(f"spec.a{i}", ["x" * 1000], "no") for i in range(1000)]
    assert MOST_TEXT < sum(len(str(error)) for error in shown(found)) < MOST_TEXT + 2000


def test_only_that_something_is_not_there_is_ignored() -> None:
    with ignoring_not_found():
        raise not_found("", "pods", "a")
    with pytest.raises(StatusError, match="is invalid"), ignoring_not_found():
        raise invalid("", "Pod", "a", [FieldError.required("spec")])
    with pytest.raises(KeyError), ignoring_not_found():
        raise KeyError
