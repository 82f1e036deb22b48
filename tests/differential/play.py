"""Plays cases against one server and keeps what it answered. Cases side by side, the steps of one in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

from clusters.harness import wait_until

from .normalise import documents
from .servers import Answer, Server
from .steps import Case, Step, Until

WORKERS = 4  # connections per server
PATIENCE = 60.0  # seconds until an answer is as a step wants it


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
            answer = self._answer(step, answers)
            if step.until is not None and not step.until.met(answer):
                answer = self._later(case, step, step.until, answers)
            found = documents(answer)
            answers[step.name] = found[0] if len(found) == 1 else found
            out[step.name] = answer
        return out

    def _answer(self, step: Step, answers: Mapping[str, Any]) -> Answer:
        path, body, headers = step.request(answers)
        try:
            return self._server.send(step.method, path, headers, body)
        except OSError as error:
            return Answer(0, {}, type(error).__name__.encode())

    def _later(self, case: Case, step: Step, until: Until, answers: Mapping[str, Any]) -> Answer:
        """The first answer that is so. Raises TimeoutError."""
        last = Answer(0, {}, b"")

        def met() -> bool:
            nonlocal last
            last = self._answer(step, answers)
            return until.met(last)

        try:
            wait_until(str(until), met, patience=PATIENCE)
        except TimeoutError as error:
            raise TimeoutError(f"{self._server.name}, {case.id}, {step.name}: {error}{last}") from None
        return last

    def play_all(self, cases: Iterable[Case]) -> dict[str, dict[str, Answer]]:
        cases = list(cases)
        with ThreadPoolExecutor(WORKERS) as pool:
            return {case.id: out for case, out in zip(cases, pool.map(self.play, cases), strict=True)}


def digest(case: Case) -> str:
    """Changes when what is asked changes."""
    return hashlib.sha256(repr(case).encode()).hexdigest()[:24]
