"""Whatever the tables hold can be decoded, compared and applied."""

from __future__ import annotations

import pytest

from kafila.catalog.tables import definition_names, schema_of
from kafila.machinery import typed
from kafila.machinery.compare import compare, compile_compare
from kafila.machinery.decode import compile_decoder
from kafila.machinery.fieldset import normal

STRUCTS = [name for name in definition_names() if schema_of(name).kind == "struct"]


@pytest.mark.parametrize("name", STRUCTS)
def test_definition(name: str) -> None:
    schema = schema_of(name)
    decoder = compile_decoder(schema)
    zero, unknown = decoder({"there is no such field": 1})
    assert unknown == ([] if schema.preserve_unknown else ["there is no such field"])
    zero, unknown = decoder({})
    assert unknown == []
    assert decoder(zero) == (zero, [])
    assert compare(schema, zero, zero) == ({}, {})
    full = compile_compare(schema).full
    if full is not None:
        normal(full(zero))
    typed.check(schema, zero)
    assert typed.merge(schema, zero, zero) == zero
