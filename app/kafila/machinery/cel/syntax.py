"""Reads an expression into a tree (the grammar of cel-spec)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, final

MAX_DEPTH: Final = 100  # of what is parsed: Python's stack is small
STARTS: Final = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)

_TOKEN: Final = re.compile(
    r"""(?P<space>[\t\ \r\n\f]+|//[^\n]*)
    |(?P<number>0x[0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+[uU]?)
    |(?P<text>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''
        |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*|`[a-zA-Z0-9_.\-/ ]+`)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{}])""",
    re.X | re.S,
)
_BINARY: Final = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_RANK: Final = {sign: rank for rank, signs in enumerate(_BINARY) for sign in signs}
_LITERALS: Final = ("true", "false", "null")


class SyntaxProblem(Exception):
    """What is wrong, and at which character (from 0, behind the end included)."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class TooDeep(Exception):
    """Nothing can be said of such an expression."""


class Token(NamedTuple):
    sort: str  # "number", "text", "name", "sign", "end"
    text: str
    at: int


@dataclass(slots=True)
class Node:
    """``sort``: "name", "select", "call", "literal", or "group" for what only holds others."""

    sort: str
    at: int
    text: str = ""  # the name, field or function
    target: Node | None = None  # what a field is of, what a method is called on
    parts: tuple[Node, ...] = ()


def parse(source: str) -> Node:
    """Raises SyntaxProblem, TooDeep."""
    return _Parser(_tokens(source)).whole()


def _tokens(source: str) -> list[Token]:
    out, at = [], 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise SyntaxProblem(at, f"token recognition error at: '{source[at]}'")
        if found.lastgroup != "space":
            out.append(Token(found.lastgroup or "", found[0], at))
        at = found.end()
    out.append(Token("end", "<EOF>", len(source)))
    return out


@final
class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        token = self._peek()
        if token.sort != "end":
            last = self._tokens[self._next + 1].sort == "end"
            what = "extraneous" if last else "mismatched"
            raise SyntaxProblem(token.at, f"{what} input '{token.text}' expecting <EOF>")
        return node

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, *signs: str) -> Token | None:
        token = self._peek()
        return self._take() if token.sort in ("sign", "name") and token.text in signs else None

    def _expect(self, sign: str) -> Token:
        found = self._accept(sign)
        if found is None:
            token = self._peek()
            raise SyntaxProblem(token.at, f"missing '{sign}' at '{token.text}'")
        return found

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooDeep
        node = self._binary(0)
        if found := self._accept("?"):
            then = self._binary(0)
            self._expect(":")
            node = Node("group", found.at, parts=(node, then, self._expression()))
        self._depth -= 1
        return node

    def _binary(self, lowest: int) -> Node:
        node = self._unary()
        while _RANK.get(self._peek().text, -1) >= lowest and self._peek().sort in ("sign", "name"):
            found = self._take()
            node = Node("group", found.at, parts=(node, self._binary(_RANK[found.text] + 1)))
        return node

    def _unary(self) -> Node:
        sign = self._accept("!", "-")
        if sign is not None:
            while self._accept(sign.text):
                pass
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while found := self._accept(".", "[", "{"):
            if found.text == "{":
                if not _is_type(node):
                    self._next -= 1
                    return node
                node = Node("group", found.at, parts=self._entries("}", fields=True))
            elif found.text == "[":
                self._accept("?")
                index = self._expression()
                self._expect("]")
                node = Node("group", found.at, parts=(node, index))
            else:
                node = self._selected(node, found.at)
        return node

    def _selected(self, target: Node, at: int) -> Node:
        self._accept("?")
        token = self._peek()
        if token.sort != "name":
            raise SyntaxProblem(
                token.at, f"no viable alternative at input '.{'' if token.sort == 'end' else token.text}'"
            )
        name = self._take().text.strip("`")
        if found := self._accept("("):
            return Node("call", found.at, name, target, self._list(")"))
        return Node("select", at, name, target)

    def _primary(self) -> Node:
        token = self._peek()
        if token.sort in ("number", "text") or token.text in _LITERALS:
            return Node("literal", self._take().at, token.text)
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._accept("["):
            return Node("group", token.at, parts=self._list("]"))
        if self._accept("{"):
            return Node("group", token.at, parts=self._entries("}", fields=False))
        self._accept(".")
        name = self._peek()
        if name.sort != "name" or name.text == "in":
            raise SyntaxProblem(name.at, f"mismatched input '{name.text}' expecting {STARTS}")
        self._take()
        if found := self._accept("("):
            return Node("call", found.at, name.text, None, self._list(")"))
        return Node("name", token.at, name.text)

    def _list(self, end: str) -> tuple[Node, ...]:
        out: list[Node] = []
        while not self._accept(end):
            if out:
                self._expect(",")
                if self._accept(end):
                    break
            self._accept("?")
            out.append(self._expression())
        return tuple(out)

    def _entries(self, end: str, *, fields: bool) -> tuple[Node, ...]:
        """Of a map, or of a message, whose fields are no expressions."""
        out: list[Node] = []
        while not self._accept(end):
            if out:
                self._expect(",")
                if self._accept(end):
                    break
            self._accept("?")
            if fields:
                self._take()
            else:
                out.append(self._expression())
            self._expect(":")
            out.append(self._expression())
        return tuple(out)


def _is_type(node: Node) -> bool:
    """A dotted name: the type of a message."""
    while node.sort == "select" and node.target is not None:
        node = node.target
    return node.sort == "name"
