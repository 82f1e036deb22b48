"""``differential`` and ``clusters`` are imported as packages, as ``python -m differential`` does; servers that tests share."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from differential.programs import CallerOfWebhooks, Side, side
from differential.servers import kafila, reference


@pytest.fixture(scope="session")
def callers() -> Iterator[CallerOfWebhooks]:
    with tempfile.TemporaryDirectory(prefix="kafila-callers-") as folder:
        Path(folder).chmod(0o711)
        yield CallerOfWebhooks(Path(folder))


@pytest.fixture(scope="session")
def sides(callers: CallerOfWebhooks) -> Iterator[tuple[Side, Side]]:
    """kube-apiserver and kafila, which show webhooks a certificate, for programs of others beside them."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafila-programs-")))
        one, two = (stack.enter_context(server(callers.flag)) for server in (reference, kafila))
        yield stack.enter_context(side(one, folder / "one")), stack.enter_context(side(two, folder / "two"))


@pytest.fixture
def third_parties(sides: tuple[Side, Side]) -> Iterator[tuple[Side, Side]]:
    """Programs that a test has started there end with it: one that audits every second would take a core from all that comes after."""
    yield sides
    for each in sides:
        each.stop()
