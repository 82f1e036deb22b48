"""Scripts of users that want more than an answer: the process that runs them, its memory, other scripts' answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kafila.core.posix import NOBODY
from kafila.machinery.lua import LuaError, Sandbox, syntax_error
from kafila.placement.interpreter import InterpretError, Operation
from kafila.placement.interpreter.sources import Script
from kafila.reconcile.interpreter.confinement import ADDRESS_SPACE
from kafila.reconcile.interpreter.scripting import Scripting
from kafila.reconcile.interpreter.worker import LARGEST_REPLY, LENGTH, Reply, Request
from tests.integration.reconcile.test_scripting import scripting

__all__ = ["scripting"]

OBJ: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
HOARD = "local t = {} while true do t[#t + 1] = {{{}}} end"
EVERY_FUNCTION = """
local strange = {true, 0, 1, -1, 3, 2^31 - 1, -2^31, 2^31, 2^32, 2^53, -2^63, 1e308, -1e308, 0/0, 1/0, -1/0, "", "x", "%", "%b",
  "[", "%f", "(()", ".-.-c", "%99.99f", "%5$s", "%d", "9", {}, {1, 2, 3}, {[0] = 1}, {spec = {containers = 1}}, print, string}
local names, functions = {}, {}
local function collect(library, prefix)
  for name, value in pairs(library) do
    if type(value) == "function" then names[#names + 1], functions[#functions + 1] = prefix .. name, value end
    if type(value) == "table" and value ~= _G and value ~= library then collect(value, prefix .. name .. ".") end
  end
end
collect(_G, "")
collect(require("kube"), "kube.")
function F()
  local fine, failed = 0, 0
  local function try(...) if pcall(...) then fine = fine + 1 else failed = failed + 1 end end
  for _, called in pairs(functions) do
    try(called)
    for _, a in ipairs(strange) do
      try(called, a)
      for _, b in ipairs(strange) do
        try(called, a, b)
        try(called, {1, 2, 3}, a, b)
        try(called, "some text", a, b)
      end
    end
  end
  table.sort(names)
  return names, fine, failed
end
"""


def in_a_worker(*requests: Request) -> Iterator[Reply]:
    """What one process answers, as long as it does."""
    frames = b"".join(LENGTH.pack(len(body)) + body for body in map(msgspec.json.encode, requests))
    command = [sys.executable, "-m", "kafila.reconcile.interpreter.worker"]
    done = subprocess.run(
        command,
        input=frames,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, b""), done
    rest = done.stdout
    while rest:
        (length,) = LENGTH.unpack_from(rest)
        yield msgspec.json.decode(rest[LENGTH.size : LENGTH.size + length], type=Reply)
        rest = rest[LENGTH.size + length :]


def asked(body: str, *arguments: Any, seconds: float = 5.0, returns: int = 1) -> Request:
    script = body if "function F(" in body else f"function F(obj) {body} end"
    return Request(script, "F", returns, seconds, list(arguments))


def test_no_argument_of_any_function_harms_the_process() -> None:
    (reply,) = in_a_worker(asked(EVERY_FUNCTION, seconds=60.0, returns=3))
    assert not reply.error
    (_, names), (_, fine), (_, failed) = reply.results
    assert {"unpack", "table.insert", "string.format", "os.date", "kube.accuratePodRequirements"} <= set(names)
    assert fine > 10_000
    assert failed > 10_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("local a = unpack({}, 0, 2147483647)", "<string>:1: too many results to unpack"),
        ("local a = unpack({}, -2147483648, 2147483647)", "<string>:1: too many results to unpack"),
        ("local a = unpack({}, 1, 0/0)", "<string>:1: bad argument #3 to 'unpack' (number expected, got nan)"),
        ("local s = ('%?'):lower() for i = 1, 20 do s = s .. s end return ('x'):match(s)", "pattern is longer than 1000 bytes"),
        ("local t = {} for i = 1, 300 do t = {t} end return t",
         "encode lua result to json failed: cannot encode tables nested deeper than 200 to JSON"),
    ],
)  # fmt: skip
def test_counts_are_bounded(body: str, error: str) -> None:
    with pytest.raises(LuaError) as failed:
        Sandbox(f"function F() {body} end").call("F")
    assert error in str(failed.value)


def test_an_insertion_moves_only_what_is_there() -> None:
    body = "local t = {1, 2} table.insert(t, -2147483648, 0) table.insert(t, 2, 9) table.insert(t, 3) return t[1], t[2], t[3], t[4]"
    answers = Sandbox(f"function F() {body} end").call("F", returns=4)
    assert [answer.value for answer in answers] == [1, 9, 2, 3]


def test_scripts_have_a_length() -> None:
    assert syntax_error("--" + "x" * 130_000) is None
    assert syntax_error("--" + "x" * 132_000) == "<string>: the script is longer than 128 KiB"


def test_nothing_that_a_script_changes_outlives_its_call() -> None:
    spoil = """
local kube = require("kube")
function F(obj)
  local before = {kube.resourceAdd ~= nil, string.format ~= nil, ("x").upper ~= nil, table.mine == nil, mine == nil, _G.pairs ~= nil}
  kube.resourceAdd, string.format, string.upper, _G.pairs = nil, nil, nil, nil
  table.mine, mine = 1, 1
  return before
end"""
    first, second = in_a_worker(asked(spoil), asked(spoil))
    assert first.results == second.results == [("table", [True] * 6)]


def test_where_things_are_in_memory_is_not_shown() -> None:
    body = "return {tostring({}), tostring(print), tostring(string.find), tostring(12), tostring(nil)}"
    (answer,) = Sandbox(f"function F() {body} end").call("F")
    assert answer.value == ["table", "function", "function", "12", "nil"]


def test_an_answer_that_is_too_large_is_none() -> None:
    large = f"local s = ('x'):lower() while #s < {LARGEST_REPLY // 2} do s = s .. s end return s"
    told, after = in_a_worker(asked(large + ", s", returns=2), asked("return 1"))
    assert told.error == "the answer is larger than 16 MiB"
    assert after.results == [("number", 1)]


def test_memory_is_given_back_between_scripts() -> None:
    """Each takes all it may, catches the error, and answers: 12 times 64 MiB would be more than the process may have."""
    requests = [asked(f"pcall(function() {HOARD} end) return {number}") for number in range(12)]
    assert len(requests) * (64 << 20) > ADDRESS_SPACE
    assert [reply.results for reply in in_a_worker(*requests)] == [[("number", number)] for number in range(12)]


def _pids(scripting: Scripting) -> Sequence[int]:
    return [each._process.pid for each in scripting._lane._all if each._process is not None]


def _of(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()


async def test_a_process_ends_with_the_first_script_that_takes_too_much(scripting: Scripting) -> None:
    async def ask(body: str) -> Any:
        return await scripting.ask(Script(body, Operation.HEALTH, f"function InterpretHealth(obj) {body} end"), (OBJ,))

    assert await ask("return true") is True
    before = _pids(scripting)
    with pytest.raises(InterpretError, match="the script needs more than 64 MiB"):
        await ask(HOARD)
    assert _pids(scripting) == []
    assert await asyncio.gather(*(ask("return true") for _ in range(4))) == [True] * 4
    assert not set(before) & set(_pids(scripting))
    assert not scripting.is_slow(Script("", Operation.HEALTH, HOARD))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
async def test_a_process_has_given_up_what_it_does_not_need(scripting: Scripting) -> None:
    assert (
        await scripting.ask(Script("a", Operation.HEALTH, "function InterpretHealth() return true end"), (OBJ,)) is True
    )
    (pid,) = _pids(scripting)
    status = dict(line.split(":\t", 1) for line in _of(pid, "status").splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(NOBODY)}
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert not status["Groups"].strip()
    limits = _of(pid, "limits")
    assert f"Max address space         {ADDRESS_SPACE} " in limits
    for nothing in ("Max core file size        0 ", "Max file size             0 ", "Max processes             0 "):
        assert nothing in limits
