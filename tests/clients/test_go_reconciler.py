"""An operator written with controller-runtime: custom resources, their status and finalizers, what they own, and who leads."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests.definitions import ANYTHING, definition, properties, version

CONDITIONS = {"type": "array", "items": ANYTHING}
SIZE = {"type": "integer", "format": "int32"}
OBSERVED = {"type": "integer", "format": "int64"}
SCHEMA = properties(
    spec={**properties(size={**SIZE, "minimum": 1}), "required": ["size"]},
    status=properties(size=SIZE, observedGeneration=OBSERVED, conditions=CONDITIONS),
)
CRD = definition("shop.example.org", "Widget", version(schema=SCHEMA, subresources={"status": {}}))


class Operator:
    """One process of it, and what it says."""

    def __init__(self, program: Path, served: Any, namespace: str) -> None:
        self.process = subprocess.Popen(
            [program, namespace],
            env=served.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def says(self, line: str) -> None:
        """Waits for a line; what comes before it may come."""
        while self._lines.get(timeout=90) != line:
            pass

    @property
    def silent(self) -> bool:
        return self._lines.empty()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())


@pytest.fixture
def start(served: Any, namespace: str, go_programs: Path) -> Iterator[Callable[[], Operator]]:
    running: list[Operator] = []

    def begin() -> Operator:
        running.append(Operator(go_programs / "reconciler", served, namespace))
        return running[-1]

    yield begin
    for operator in running:
        operator.process.kill()
        operator.process.wait()


@pytest.mark.timeout(900)  # the first build compiles client-go
def test_an_operator_lives(served: Any, namespace: str, programs: Path, start: Callable[[], Operator]) -> None:
    def kubectl(*arguments: str, stdin: Any = None) -> str:
        command = [programs / "kubectl", "-n", namespace, *arguments]
        given = json.dumps(stdin) if stdin else None
        done = subprocess.run(command, env=served.environment, input=given, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make(name: str, size: int) -> None:
        widget = {
            "apiVersion": "shop.example.org/v1",
            "kind": "Widget",
            "metadata": {"name": name},
            "spec": {"size": size},
        }
        kubectl("apply", "-f", "-", stdin=widget)

    kubectl("apply", "-f", "-", stdin=CRD)
    kubectl("wait", "crd/widgets.shop.example.org", "--for=condition=Established", "--timeout=90s")
    first = start()
    first.says("leads")
    second = start()

    make("a", 1)
    first.says("created a 1")
    kubectl("wait", "widget/a", "--for=condition=Ready", "--timeout=90s")
    kubectl("patch", "widget/a", "--type=merge", "-p", '{"spec":{"size":2}}')
    first.says("updated a 2")
    kubectl("wait", "widget/a", "--for=jsonpath={.status.size}=2", "--timeout=90s")
    widget = json.loads(kubectl("get", "widget/a", "-o", "json"))
    assert widget["metadata"]["finalizers"] == ["shop.example.org/outside"]
    assert (
        widget["metadata"]["generation"] == widget["status"]["observedGeneration"] == 2
    )  # status and finalizers count nothing
    kubectl("delete", "configmap/a")  # owned, so the operator hears of it
    first.says("created a 2")
    assert second.silent

    first.process.send_signal(signal.SIGKILL)
    second.says("leads")
    make("b", 3)
    second.says("created b 3")
    kubectl("delete", "widget/a", "--timeout=90s")
    second.says("ends a")
    kubectl("wait", "configmap/a", "--for=delete", "--timeout=90s")  # with its owner
    kubectl("delete", "widget/b", "--timeout=90s")
    kubectl("delete", "crd/widgets.shop.example.org", "--timeout=90s")
