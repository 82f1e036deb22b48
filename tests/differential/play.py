"""Plays cases against one server and keeps what it answered. Cases side by side, the steps of one in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

from .normalise import documents
from .servers import Answer, Server
from .steps import Case

WORKERS = 4  # connections per server


@final
class Player:
    def __init__(self, server: Server) -> None:
        self._server = server

    def play(self, case: Case) -> dict[str, Answer]:
        """Step name -> answer."""
        if case.namespace:
            body = json.dumps({"metadata": {"name": case.namespace}}).encode()
            made = self._server.send("POST", "/api/v1/namespaces", {"Content-Type": "application/json"}, body)
            assert made.status == 201, f"{self._server.name}: namespace {case.namespace}: {made}"
        answers: dict[str, Any] = {}
        out: dict[str, Answer] = {}
        for step in case.steps:
            path, body, headers = step.request(answers)
            try:
                answer = self._server.send(step.method, path, headers, body)
            except OSError as error:
                answer = Answer(0, {}, type(error).__name__.encode())
            found = documents(answer)
            answers[step.name] = found[0] if len(found) == 1 else found
            out[step.name] = answer
        return out

    def play_all(self, cases: Iterable[Case]) -> dict[str, dict[str, Answer]]:
        cases = list(cases)
        with ThreadPoolExecutor(WORKERS) as pool:
            return {case.id: out for case, out in zip(cases, pool.map(self.play, cases), strict=True)}


def digest(case: Case) -> str:
    """Changes when what is asked changes."""
    return hashlib.sha256(repr(case).encode()).hexdigest()[:24]
