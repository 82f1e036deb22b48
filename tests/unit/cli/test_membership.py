"""The command line of join and unjoin, as far as it goes without clusters."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kafila.cli import CommandError, main
from kafila.cli.durations import duration
from kafila.members.join import _bundle, name_problems


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("2m", 120), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("1h1m1s", 3661)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "s", "1m 30s", "-1s", "0s", "1d", "1m30"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(CommandError):
        duration(text)


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["join"], "requires an argument", 2),
        (["join", "a"], "--cluster-kubeconfig requires an argument", 2),
        (["join", "a", "b", "--cluster-kubeconfig=x"], "Unused", 2),
        (["join", "a", "--cluster-kubeconfig=x", "--nope"], "Unknown option", 2),
        (["nope"], "Unknown command", 2),
        (["unjoin", "a", "--wait", "0s"], "must be a positive duration", 2),
        (["token", "create", "--ttl", "99999999999999999h"], "is too long", 2),
        (["token", "create", "--ttl", "90000000h"], "is too long", 2),
        (["unjoin", "a", "--kubeconfig", "/does/not/exist"], "does not exist", 1),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr()
    assert ended.value.code == code
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert message in told.err


def test_help_does_not_load_the_work() -> None:
    script = (
        "import sys; from kafila.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted(m for m in sys.modules if m.startswith(('kafila.', 'aiohttp'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['kafila.cli']"
    assert "join" in done.stdout


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("member1", True),
        ("m" * 48, True),
        ("m" * 49, False),
        ("", False),
        ("Member", False),
        ("a.b", False),
        ("-a", False),
    ],
)
def test_cluster_names(name: str, good: bool) -> None:
    assert (name_problems(name) == []) is good


def test_the_authority_of_the_kubeconfig_is_kept_beside_the_members_own() -> None:
    assert _bundle(b"A\n", b"A") == b"A\n"
    assert _bundle(b"A\n", b"") == b"A\n"
    assert _bundle(b"A\n", b"B\n") == b"A\nB\n"
    assert _bundle(b"", b"B\n") == b"B\n"
