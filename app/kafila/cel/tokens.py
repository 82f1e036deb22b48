"""Cuts an expression into tokens, and reads its literals (grammar of cel-spec)."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from .source import Issue
from .values import INT_MAX, INT_MIN, UINT_MAX, Uint

_ESCAPE = r"""\\(?:[abfnrtv"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
_TOKEN: Final = re.compile(
    rf"""(?P<space>[\t\ \r\n\f]+|//[^\n]*)
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|\d+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<string>[bB]?(?:[rR](?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n\r]*"|'[^'\n\r]*')
        |\"\"\"(?:{_ESCAPE}|[^\\])*?\"\"\"|'''(?:{_ESCAPE}|[^\\])*?'''
        |"(?:{_ESCAPE}|[^\\"\n\r])*"|'(?:{_ESCAPE}|[^\\'\n\r])*'))
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<quoted>`[a-zA-Z0-9_.\-/\ ]+`)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{{}}])""",
    re.X | re.S,
)
_WORDS: Final = frozenset(["true", "false", "null", "in"])
_SIMPLE: Final = dict(zip("abfnrtv\\'\"`?", "\a\b\f\n\r\t\v\\'\"`?", strict=True))
_DIGITS: Final = {"x": 2, "X": 2, "u": 4, "U": 8}


class Token(NamedTuple):
    sort: str  # "int", "uint", "float", "string", "name", "quoted", "word" (true, false, null, in), "sign", "end"
    text: str
    at: int


def tokens(source: str) -> tuple[list[Token], list[Issue]]:
    """What cannot be read is skipped, and said."""
    out, issues, at, size = [], [], 0, len(source)
    while at < size:
        found = _TOKEN.match(source, at)
        if found is None:
            text, end = _unreadable(source, at)
            issues.append(Issue(at, f"Syntax error: token recognition error at: '{text}'"))
            at = end
            continue
        sort, text = found.lastgroup or "", found[0]
        if sort != "space":
            out.append(Token("word" if sort == "name" and text in _WORDS else sort, text, at))
        at = found.end()
    out.append(Token("end", "<EOF>", size))
    return out, issues


def _unreadable(source: str, at: int) -> tuple[str, int]:
    """As far as a lexer came: an open string to where it breaks, anything else is one character."""
    opened = re.compile(r"[bB]?[rR]?(?P<quote>\"\"\"|'''|[\"'])").match(source, at)
    if opened is None:
        if source[at] in "&|" or source[at] == "=":
            return source[at : at + 2], min(at + 2, len(source))
        return source[at], at + 1
    quote = opened["quote"]
    body = re.compile(rf"(?:{_ESCAPE}|[^\\])*" if len(quote) == 3 else rf"(?:{_ESCAPE}|[^\\\n\r{quote}])*", re.S)
    end = body.match(source, opened.end()).end()  # type: ignore[union-attr]
    if end < len(source):  # what breaks it belongs to it
        end += 2 if source[end] == "\\" and end + 1 < len(source) else 1
    return source[at:end], end


class BadLiteral(Exception):
    """Its message is cel-go's."""


def number(token: Token, negative: bool) -> Any:
    """Raises BadLiteral."""
    text = token.text
    if token.sort == "float":
        return -float(text) if negative else float(text)
    if token.sort == "uint":
        value = int(text[:-1], 0) if text.startswith("0x") else int(text[:-1])
        if value > UINT_MAX:
            raise BadLiteral("invalid uint literal")
        return Uint(value)
    if len(text) > 100:  # long before it is read, and far too big
        raise BadLiteral("invalid int literal")
    value = int(text, 16) if text.startswith("0x") else int(text)
    value = -value if negative else value
    if not INT_MIN <= value <= INT_MAX:
        raise BadLiteral("invalid int literal")
    return value


def string(token: Token) -> str | bytes:
    """Raises BadLiteral."""
    text, is_bytes, raw = token.text, False, False
    if text[0] in "bB":
        text, is_bytes = text[1:], True
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text[0] in "rR":
        text, raw = text[1:], True
    quotes = 3 if len(text) >= 6 and text[:3] in ('"""', "'''") else 1
    text = text[quotes:-quotes]
    if is_bytes:
        return text.encode() if raw or "\\" not in text else _unescaped_bytes(text)
    return text if raw or "\\" not in text else _unescaped(text)


def _unescaped(text: str) -> str:
    out, at = [], 0
    while at < len(text):
        found = text.find("\\", at)
        if found < 0:
            out.append(text[at:])
            break
        out.append(text[at:found])
        code, at = _code(text, found)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise BadLiteral("invalid unicode code point")
        out.append(chr(code))
    return "".join(out)


def _unescaped_bytes(text: str) -> bytes:
    out, at = bytearray(), 0
    while at < len(text):
        found = text.find("\\", at)
        if found < 0:
            out += text[at:].encode()
            break
        out += text[at:found].encode()
        if text[found + 1] in "uU":
            raise BadLiteral("unable to unescape string")
        code, at = _code(text, found)
        out.append(code & 0xFF)
    return bytes(out)


def _code(text: str, at: int) -> tuple[int, int]:
    """The code point of an escape, and where it ends. The lexer lets only whole ones through."""
    char = text[at + 1]
    if char in _DIGITS:
        end = at + 2 + _DIGITS[char]
        return int(text[at + 2 : end], 16), end
    if char in "0123":
        return int(text[at + 1 : at + 4], 8), at + 4
    return ord(_SIMPLE[char]), at + 2
