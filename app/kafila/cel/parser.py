"""Reads an expression into a tree (the grammar of cel-spec), macros expanded.

Nothing here takes more steps than the expression has tokens, and nesting is bounded.
"""

from __future__ import annotations

from typing import Any, Final, final

from .ast import Call, Entry, Expr, Ident, ListExpr, Literal, MapExpr, Select, Struct, walk
from .macros import COPYING, MacroProblem, Macros
from .source import Issue
from .token_reader import Stop, TokenReader
from .tokens import BadLiteral, Token, number, string, tokens

MAX_SIZE: Final = 100_000  # characters
MAX_DEPTH: Final = 100  # of what stands within brackets; cel-go: 250
MAX_CHAIN: Final = 200  # of fields, calls and operators in a row; cel-go: 250
MAX_COPIED: Final = 20_000  # parts of the tree that macros repeat
_TOO_DEEP: Final = "expression recursion limit exceeded: 250"
STARTS: Final = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_REST: Final = "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
_ARGUMENTS: Final = f"{{'[', '{{', '(', ')', '.', '-', '!', {_REST}"
_ELEMENTS: Final = f"{{'[', ']', '{{', '(', '.', ',', '-', '!', '?', {_REST}"
_ENTRIES: Final = f"{{'[', '{{', '}}', '(', '.', ',', '-', '!', '?', {_REST}"
_LEVELS: Final = (("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_RANK: Final = {sign: rank for rank, signs in enumerate(_LEVELS) for sign in signs}
_WORDS: Final = {"true": True, "false": False, "null": None}
RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "package",
        "namespace",
        "null",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)


class Unparsable(Exception):
    def __init__(self, issues: list[Issue]) -> None:
        super().__init__()
        self.issues = issues


def parse(source: str, macros: Macros) -> Expr:
    """Raises Unparsable."""
    if len(source) > MAX_SIZE:
        raise Unparsable(
            [Issue(None, f"expression code point size exceeds limit: size: {len(source)}, limit {MAX_SIZE}")]
        )
    found, issues = tokens(source)
    parser = _Parser(found, issues, macros)
    root = parser.whole()
    if issues or root is None:
        raise Unparsable(issues)
    return root


@final
class _Parser(TokenReader):
    def __init__(self, found: list[Token], issues: list[Issue], macros: Macros) -> None:
        super().__init__(found, issues)
        self._depth = 0
        self._copied = 0
        self._macros = macros
        self._first = (-1, "")  # a token, and what may stand there beside an expression

    def whole(self) -> Expr | None:
        try:
            node = self._expression()
            token = self._peek()
            if token.sort != "end":
                last = self._tokens[self._next + 1].sort == "end"
                self._refuse(token, f"{'extraneous' if last else 'mismatched'} input '{token.text}' expecting <EOF>")
        except Stop:
            return None
        return node

    def _deeper(self, by: int = 1) -> None:
        self._depth += by
        if self._depth > MAX_DEPTH:
            self._issues.append(Issue(None, _TOO_DEEP))
            raise Stop

    def _expression(self) -> Expr:
        self._deeper()
        node = self._disjunction()
        if found := self._accept("?"):
            then = self._disjunction()
            self._expect(":")
            node = Call(found.at, "_?_:_", [node, then, self._expression()])
        self._depth -= 1
        return node

    def _disjunction(self) -> Expr:
        """Terms of ``||`` and, within them, of ``&&``: those in a row become a balanced tree."""
        terms: list[Expr] = []
        places: list[int] = []
        while True:
            inner, at = [self._binary(0)], []
            while found := self._accept("&&"):
                at.append(found.at)
                inner.append(self._binary(0))
            terms.append(_balanced("_&&_", inner, at, 0, len(at) - 1) if at else inner[0])
            found = self._accept("||")
            if found is None:
                return _balanced("_||_", terms, places, 0, len(places) - 1) if places else terms[0]
            places.append(found.at)

    def _binary(self, lowest: int) -> Expr:
        node, chain = self._unary(), 0
        while _RANK.get(self._peek().text, -1) >= lowest and self._peek().sort in ("sign", "word"):
            found = self._take()
            chain = self._longer(chain)
            name = "@in" if found.text == "in" else f"_{found.text}_"
            node = Call(found.at, name, [node, self._binary(_RANK[found.text] + 1)])
        return node

    def _longer(self, chain: int) -> int:
        if chain >= MAX_CHAIN:
            self._issues.append(Issue(None, _TOO_DEEP))
            raise Stop
        return chain + 1

    def _unary(self) -> Expr:
        sign = self._peek()
        if sign.sort != "sign" or sign.text not in "!-":
            return self._member()
        following = self._tokens[self._next + 1]
        if sign.text == "-" and following.sort in ("int", "float"):
            return self._member()
        self._check_sign(sign, following)
        count = 0
        while self._accept(sign.text):
            count += 1
        node = self._member()
        return Call(sign.at, "!_" if sign.text == "!" else "-_", [node]) if count % 2 else node

    def _check_sign(self, sign: Token, following: Token) -> None:
        """What may not stand behind it."""
        if sign.text == "-" and following.sort == "end":
            self._refuse(following, "no viable alternative at input '-'")
            raise self._stop(following, f"mismatched input '<EOF>' expecting {STARTS}")
        if following.sort == "end":
            raise self._stop(following, f"extraneous input '<EOF>' expecting {STARTS}")
        if following.text in "!-" and following.text != sign.text and following.sort == "sign":
            at = self._next + 1
            if following.text == "-":
                if self._tokens[at + 1].sort in ("int", "float"):
                    return
                shown = self._tokens[at + 1].text
                raise self._stop(self._tokens[at + 1], f"no viable alternative at input '-{shown}'")
            raise self._stop(following, f"no viable alternative at input '{sign.text}{following.text}'")

    def _member(self) -> Expr:
        node, chain = self._primary(), 0
        while self._peek().sort == "sign" and self._peek().text in ".[":
            chain = self._longer(chain)
            found = self._take()
            node = self._indexed(node, found.at) if found.text == "[" else self._selected(node, found.at)
        return node

    def _indexed(self, target: Expr, at: int) -> Expr:
        optional = self._accept("?")
        index = self._expression()
        self._expect("]")
        return self._called(at, "_[?_]" if optional else "_[_]", None, [target, index])

    def _selected(self, target: Expr, at: int) -> Expr:
        optional = self._accept("?")
        token = self._peek()
        if token.sort not in ("name", "quoted"):
            if token.text == "in" and token.sort == "word":
                self._refuse(token, "no viable alternative at input '.in'")
                return target
            if token.sort == "word":
                raise self._stop(token, f"mismatched input '{token.text}' expecting IDENTIFIER")
            raise self._stop(token, f"no viable alternative at input '.{token.text if token.sort != 'end' else ''}'")
        name = self._take()
        if name.sort == "quoted":
            self._issues.append(Issue(name.at, "unsupported syntax: '`'"))
            return Select(at, target, name.text.strip("`"))
        if not optional and (found := self._accept("(")):
            return self._called(found.at, name.text, target, self._arguments())
        if optional:
            return Call(at, "_?._", [target, Literal(name.at, name.text)])
        return Select(at, target, name.text)

    def _called(self, at: int, name: str, target: Expr | None, args: list[Expr]) -> Expr:
        if target is not None and name in COPYING:
            self._copy(target)
        try:
            expanded = self._macros.expanded(at, name, target, args)
        except MacroProblem as problem:
            self._issues.append(Issue(problem.at, problem.message))
            return Literal(at, None)
        return expanded if expanded is not None else Call(at, name, args, target)

    def _copy(self, target: Expr) -> None:
        """A macro takes its target twice: a chain of them would grow without end."""
        self._copied += len(walk(target))
        if self._copied > MAX_COPIED:
            self._issues.append(Issue(None, f"expression is too large: macros make more than {MAX_COPIED} parts of it"))
            raise Stop

    def _primary(self) -> Expr:
        token = self._peek()
        if token.sort in ("int", "uint", "float", "string") or (token.sort == "sign" and token.text == "-"):
            return self._literal()
        if token.sort == "word" and token.text in _WORDS:
            return Literal(self._take().at, _WORDS[token.text])
        if self._accept("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._accept("["):
            return self._list(token.at)
        if self._accept("{"):
            return MapExpr(token.at, self._entries(fields=False))
        return self._named()

    def _literal(self) -> Expr:
        token = self._take()
        at, negative = token.at, False
        if token.sort == "sign":
            token, negative = self._take(), True
        try:
            value = string(token) if token.sort == "string" else number(token, negative)
        except BadLiteral as problem:
            self._issues.append(Issue(at, str(problem)))
            value = None
        return Literal(at, value)

    def _named(self) -> Expr:
        dot = self._accept(".")
        token = self._peek()
        if token.sort != "name":
            if dot:
                raise self._stop(
                    token, f"no viable alternative at input '.{'' if token.sort == 'end' else token.text}'"
                )
            return self._misplaced(token)
        self._take()
        name = f".{token.text}" if dot else token.text
        at = (dot or token).at
        if self._struct_ahead():
            return self._struct(name)
        found = self._accept("(")
        if token.text in RESERVED:
            self._issues.append(Issue(at, f"reserved identifier: {token.text}"))
        if found:
            return self._called(found.at, name, None, self._arguments())
        return Ident(token.at, name)

    def _misplaced(self, token: Token) -> Expr:
        """A token that begins no expression. One alone is skipped where an expression follows."""
        expecting = self._first[1] if self._first[0] == self._next else STARTS
        if token.sort != "end" and self._begins(self._tokens[self._next + 1]):
            self._refuse(token, f"extraneous input '{token.text}' expecting {expecting}")
            self._take()
            return self._primary()
        self._refuse(token, f"mismatched input '{token.text}' expecting {expecting}")
        if token.text != "in":
            raise Stop
        return Literal(token.at, None)

    def _begins(self, token: Token) -> bool:
        if token.sort == "word":
            return token.text in _WORDS
        return token.sort in ("int", "uint", "float", "string", "name") or token.text in ("[", "{", "(", ".", "-", "!")

    def _struct_ahead(self) -> bool:
        """Whether ``.b.c{`` follows."""
        at = self._next
        while self._tokens[at].text == "." and self._tokens[at + 1].sort == "name":
            at += 2
        return self._tokens[at].text == "{" and self._tokens[at].sort == "sign"

    def _struct(self, name: str) -> Expr:
        while self._accept("."):
            name += f".{self._take().text}"
        found = self._take()
        return Struct(found.at, name, self._entries(fields=True))

    def _arguments(self) -> list[Expr]:
        out: list[Expr] = []
        if self._accept(")"):
            return out
        self._first = (self._next, _ARGUMENTS)
        while True:
            out.append(self._expression())
            if not self._accept(","):
                self._expect(")")
                return out

    def _list(self, at: int) -> Expr:
        out: list[Expr] = []
        optionals: set[int] = set()
        self._first = (self._next, _ELEMENTS)
        while self._goes_on(out, "]"):
            if self._accept("?"):
                optionals.add(len(out))
            out.append(self._expression())
        return ListExpr(at, out, frozenset(optionals))

    def _goes_on(self, before: list[Any], end: str) -> bool:
        """Whether another element comes after these; else the end is taken, which may have a comma in front."""
        if self._accept(end):
            return False
        if before:
            self._expect(",", f"{{'{end}', ','}}")
            return not self._ends(end)
        if self._accept(","):
            self._expect(end)
            return False
        return True

    def _ends(self, sign: str) -> bool:
        """After a comma: what begins nothing must be the end."""
        token = self._peek()
        if token.sort == "end" or self._begins(token) or token.text == "?":
            return False
        self._expect(sign)
        return True

    def _entries(self, *, fields: bool) -> list[Entry]:
        out: list[Entry] = []
        self._first = (self._next, _ENTRIES)
        while self._goes_on(out, "}"):
            optional = self._accept("?") is not None
            key = self._field() if fields else self._expression()
            colon = self._expect(":")
            out.append(Entry(colon.at, key, self._expression(), optional))
        return out

    def _field(self) -> str:
        token = self._peek()
        if token.sort == "quoted":
            self._issues.append(Issue(token.at, "unsupported syntax: '`'"))
        elif token.sort != "name":
            raise self._stop(
                token, f"mismatched input '{token.text}' expecting {{'}}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}}"
            )
        return self._take().text.strip("`")


def _balanced(name: str, terms: list[Expr], places: list[int], low: int, high: int) -> Expr:
    middle = (low + high + 1) // 2
    left = terms[middle] if middle == low else _balanced(name, terms, places, low, middle - 1)
    right = terms[middle + 1] if middle == high else _balanced(name, terms, places, middle + 1, high)
    return Call(places[middle], name, [left, right])
