"""The tokens of an expression one after the other, and what is said, in cel-go's words, where another one was expected."""

from __future__ import annotations

from .source import Issue
from .tokens import Token


class Stop(Exception):
    """The rest cannot be read."""


class TokenReader:
    """``found`` ends with the token ``end``; ``issues`` takes what is refused."""

    def __init__(self, found: list[Token], issues: list[Issue]) -> None:
        self._tokens = found
        self._next = 0
        self._issues = issues

    def _refuse(self, token: Token, message: str) -> None:
        self._issues.append(Issue(token.at, f"Syntax error: {message}"))

    def _stop(self, token: Token, message: str) -> Stop:
        self._refuse(token, message)
        return Stop()

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, sign: str) -> Token | None:
        token = self._tokens[self._next]
        return self._take() if token.text == sign and token.sort in ("sign", "word") else None

    def _expect(self, sign: str, others: str = "") -> Token:
        found = self._accept(sign)
        if found is not None:
            return found
        token, expecting = self._peek(), others or f"'{sign}'"
        if token.sort != "end" and self._tokens[self._next + 1].text == sign:
            self._refuse(token, f"extraneous input '{token.text}' expecting {expecting}")
            self._take()
            return self._take()
        if sign in ":]" or others:
            raise self._stop(token, f"mismatched input '{token.text}' expecting {expecting}")
        raise self._stop(token, f"missing '{sign}' at '{token.text}'")
