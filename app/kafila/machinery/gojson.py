"""What Go says about a body that is no JSON (encoding/json): parsers differ in words, clients know Go's."""

from __future__ import annotations

import re
from typing import Final

UNEXPECTED_END: Final = "unexpected end of JSON input"
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_STRING: Final = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_ESCAPE: Final = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?")
_NUMBER: Final = (  # what comes next, and where a wrong character stands
    (re.compile(rb"-?(?:0|[1-9][0-9]*)"), "in numeric literal"),
    (re.compile(rb"\.[0-9]+"), "after decimal point in numeric literal"),
    (re.compile(rb"[eE][+-]?[0-9]+"), "in exponent of numeric literal"),
)
_LITERALS: Final = (b"true", b"false", b"null")
_VALUE, _KEY = "looking for beginning of value", "looking for beginning of object key string"
_AFTER: Final = {ord("{"): "after object key:value pair", ord("["): "after array element"}


class _Wrong(Exception):
    """Something at a place where it cannot be."""

    def __init__(self, at: int, where: str) -> None:
        super().__init__(where)
        self.at = at
        self.where = where


def syntax_error(raw: bytes) -> str:
    """``invalid character 'a' looking for beginning of value`` and the like; "" when there is nothing wrong."""
    try:
        _document(raw)
    except _Wrong as wrong:
        if wrong.at >= len(raw):
            return UNEXPECTED_END
        return f"invalid character {_quoted(raw[wrong.at])} {wrong.where}"
    return ""


def _document(raw: bytes) -> None:
    opened: list[int] = []  # the brackets that are open
    at = _skip(raw, 0)
    while True:
        at = _skip(raw, _value(raw, at, opened))
        while opened:  # a value has ended: how does what holds it go on?
            bracket = opened[-1]
            found = raw[at : at + 1]
            if found == b",":
                at = _skip(raw, at + 1)
                if bracket == ord("{"):
                    at = _name(raw, at)
                break
            if found != (b"}" if bracket == ord("{") else b"]"):
                raise _Wrong(at, _AFTER[bracket])
            opened.pop()
            at = _skip(raw, at + 1)
        else:
            if at < len(raw):
                raise _Wrong(at, "after top-level value")
            return


def _value(raw: bytes, at: int, opened: list[int]) -> int:
    """Behind the value at ``at``; behind the first scalar or empty container in it, with what was opened before that."""
    while True:
        found = raw[at : at + 1]
        if found == b"{":
            at = _skip(raw, at + 1)
            if raw[at : at + 1] == b"}":
                return at + 1
            at = _name(raw, at)
            opened.append(ord("{"))
        elif found == b"[":
            at = _skip(raw, at + 1)
            if raw[at : at + 1] == b"]":
                return at + 1
            opened.append(ord("["))
        else:
            return _scalar(raw, at, found)


def _scalar(raw: bytes, at: int, found: bytes) -> int:
    if found == b'"':
        return _string(raw, at)
    if found == b"-" or found.isdigit():
        return _number(raw, at)
    for literal in _LITERALS:
        if found == literal[:1]:
            for offset, expected in enumerate(literal):
                if raw[at + offset : at + offset + 1] != bytes((expected,)):
                    raise _Wrong(at + offset, f"in literal {literal.decode()} (expecting '{chr(expected)}')")
            return at + len(literal)
    raise _Wrong(at, _VALUE)


def _name(raw: bytes, at: int) -> int:
    """Behind the colon of the member that begins at ``at``."""
    if raw[at : at + 1] != b'"':
        raise _Wrong(at, _KEY)
    at = _skip(raw, _string(raw, at))
    if raw[at : at + 1] != b":":
        raise _Wrong(at, "after object key")
    return _skip(raw, at + 1)


def _string(raw: bytes, at: int) -> int:
    match = _STRING.match(raw, at)
    assert match is not None
    end = match.end()
    if raw[end : end + 1] == b'"':
        return end + 1
    if raw[end : end + 1] != b"\\":
        raise _Wrong(end, "in string literal")
    escape = _ESCAPE.match(raw, end)
    assert escape is not None
    hexadecimal = len(escape[0]) > 1
    raise _Wrong(escape.end(), "in \\u hexadecimal character escape" if hexadecimal else "in string escape code")


def _number(raw: bytes, at: int) -> int:
    for position, (pattern, where) in enumerate(_NUMBER):
        match = pattern.match(raw, at)
        if match is not None:
            at = match.end()
        elif position == 0:
            raise _Wrong(at + 1, where)  # behind the sign
        elif raw[at : at + 1] in ((b".",) if position == 1 else (b"e", b"E")):
            signed = position == 2 and raw[at + 1 : at + 2] in (b"+", b"-")
            raise _Wrong(at + 1 + signed, where)
    return at


def _skip(raw: bytes, at: int) -> int:
    match = _SPACE.match(raw, at)
    assert match is not None
    return match.end()


def _quoted(byte: int) -> str:
    """A byte as Go quotes it: as the code point of that number."""
    if byte == ord("'"):
        return r"'\''"
    character = chr(byte)
    if character == '"' or (character.isprintable() and character != "\\"):
        return f"'{character}'"
    escaped = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 92: r"\\"}
    if byte in escaped:
        return f"'{escaped[byte]}'"
    return f"'\\x{byte:02x}'" if byte < 0x80 else f"'\\u{byte:04x}'"
