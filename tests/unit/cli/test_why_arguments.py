"""``kafila why`` reads its arguments as kubectl does, and ends quietly when nobody reads on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kafila.cli import UsageError
from kafila.cli.why import parse_subjects


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("deployment/web",), [("deployment", "web")]),
        (("deploy", "web"), [("deploy", "web")]),
        (("deployments.apps", "web", "api"), [("deployments.apps", "web"), ("deployments.apps", "api")]),
        (("deploy/web", "svc/web"), [("deploy", "web"), ("svc", "web")]),
    ],
)
def test_what_is_meant(arguments: tuple[str, ...], wanted: list[tuple[str, str]]) -> None:
    assert parse_subjects(arguments) == wanted


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "arguments must be TYPE NAME or TYPE/NAME"),
        (("deployment",), "arguments must be TYPE NAME or TYPE/NAME"),
        (("deployment/",), "arguments in resource/name form must have a single resource and name"),
        (("a/b/c",), "arguments in resource/name form must have a single resource and name"),
        (("deploy", "svc/web"), "there is no need to specify a resource type as a separate argument"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_subjects(arguments)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """As ``kafila why … | head -1``: the pipe is closed before anything is written."""
    program = (
        "import sys, cyclopts, kafila.cli as cli; sys.stdin.read()\n"
        "app = cyclopts.App(); app.default(lambda: print('a line'))\n"
        "cli.program = lambda: app; cli.main([])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate(b"")
    assert errors == b""
    assert process.returncode == 141
