"""Syntax errors in Go's words. The texts are those of encoding/json (Go 1.26), taken by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.machinery.gojson import syntax_error


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a":', "unexpected end of JSON input"),
        (b'{"a', "unexpected end of JSON input"),
        (b"tru", "unexpected end of JSON input"),
        (b"-", "unexpected end of JSON input"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"{a}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 2}', "invalid character '2' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b'{"a":1}}', "invalid character '}' after top-level value"),
        (b"{}{}", "invalid character '{' after top-level value"),
        (b"01", "invalid character '1' after top-level value"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1e+x", "invalid character 'x' in exponent of numeric literal"),
        (b"trux", "invalid character 'x' in literal true (expecting 'e')"),
        (b'"a\nb"', "invalid character '\\n' in string literal"),
        (rb'"\q"', "invalid character 'q' in string escape code"),
        (rb'"\u00g0"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"'a'", "invalid character '\\'' looking for beginning of value"),
        (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
        (b"\x00", "invalid character '\\x00' looking for beginning of value"),
        (b' {"a": [1, {"b": null}], "c": "\\u00e4"} ', ""),
    ],
)
def test_the_first_wrong_character_is_named_with_what_was_expected(raw: bytes, said: str) -> None:
    assert syntax_error(raw) == said


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON, st.booleans())
def test_nothing_is_said_about_sound_json(value: object, spaced: bool) -> None:
    assert syntax_error(json.dumps(value, indent=1 if spaced else None).encode()) == ""


@given(st.binary(max_size=20))
def test_something_is_said_exactly_when_a_parser_refuses(raw: bytes) -> None:
    try:
        json.loads(raw.decode("latin-1"), parse_constant=_no_constant)
        sound = True
    except ValueError:
        sound = False
    assert (syntax_error(raw) == "") == sound


def _no_constant(name: str) -> object:
    raise ValueError(name)
