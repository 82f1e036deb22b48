"""YAML written part by part is what libyaml's serializer writes of the whole."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery.yaml import load
from kafila.machinery.yamlout import dump, dump_text

SPECIAL = [
    "yes",
    "null",
    "~",
    "1.0",
    "0x1",
    "2020-01-01",
    "12:30",
    "<<",
    "=",
    " lead",
    "trail ",
    "a\n\nb\n",
    "a #b",
    "a " * 60,
]
TEXTS = st.one_of(st.text("ab01:-# \n\t'\"\\{}é,&*!|>%@\x07\u2028\U0001f600", max_size=8), st.sampled_from(SPECIAL))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(VALUES)
def test_the_same_as_at_once(value: Any) -> None:
    whole = yaml.dump(value, Dumper=_Whole, allow_unicode=True, sort_keys=True)
    assert dump(value).decode() == whole


class _Whole(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), st.sampled_from([*SPECIAL, "y", "x", "1"]), max_size=4))
def test_texts_in_fields_are_read_back(value: Any) -> None:
    assert load(dump_text(value))[0] == value
