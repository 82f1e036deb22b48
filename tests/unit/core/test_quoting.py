from __future__ import annotations

import pytest

from kafila.core.quoting import quoted, quoted_list


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", '"a b"'),
        ('a"b\\', r'"a\"b\\"'),
        ("\n\x00\x7f", r'"\n\x00\x7f"'),
        ("zürich 日本", '"zürich 日本"'),
        ("\u00a0\u200b", r'"\u00a0\u200b"'),
        ("\U000e0001", r'"\U000e0001"'),
    ],
)
def test_quoted_as_go_does(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_a_list() -> None:
    assert quoted_list(["a", 'b"']) == r'["a" "b\""]'
