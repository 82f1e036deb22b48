"""What ends the process, and what does not: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, threading, structlog
from kafila.telemetry.fatal import guard
from kafila.telemetry.logs import configure

log = structlog.get_logger()

def fail(error):
    raise error

async def failing(error):
    fail(error)

async def main():
    configure()
    loop = asyncio.get_running_loop()
    guard(loop)
    {happens}
    for _ in range(5):
        await asyncio.sleep(0)
    log.info("it goes on")

asyncio.run(main())
"""
WRAPPED = (
    "try:\n        fail(MemoryError())\n    except MemoryError as e:\n        error = OSError(); error.__cause__ = e"
)


@pytest.mark.parametrize(
    ("happens", "ends"),
    [
        ("loop.call_soon(fail, ValueError('x'))", True),
        ("loop.call_later(0, fail, OSError('x'))", True),
        ("task = loop.create_task(failing(ValueError('x'))); await asyncio.sleep(0); del task", False),
        ("task = loop.create_task(failing(MemoryError())); await asyncio.sleep(0); del task", True),
        ("one = threading.Thread(target=fail, args=(ValueError('x'),)); one.start(); one.join()", False),
        ("one = threading.Thread(target=fail, args=(MemoryError(),)); one.start(); one.join()", True),
        (WRAPPED + "\n    log.error('failed', exc_info=error)", True),
        ("log.error('failed', exc_info=ValueError('x'))", False),
        ("try:\n        fail(MemoryError())\n    except MemoryError:\n        log.exception('failed')", True),
        ("fail(ValueError('x'))", True),
        ("fail(ExceptionGroup('several', [OSError('x'), ValueError('x')]))", True),
        ("fail(ExceptionGroup('several', [OSError('x'), MemoryError()]))", True),
        ("log.error('failed', exc_info=ExceptionGroup('several', [OSError('x'), MemoryError()]))", True),
        (
            "loop.call_exception_handler({'message': 'a connection', 'exception': ValueError('x'), 'transport': 1})",
            False,
        ),
    ],
)
def test_what_nobody_handles(happens: str, ends: bool) -> None:
    program = PROGRAM.replace("{happens}", happens)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == (70 if ends else 0), done.stderr
    assert ("it goes on" in done.stderr) != ends
    assert ('"level": "critical"' in done.stderr) == ends
    assert all(line.startswith("{") for line in done.stderr.splitlines())
