"""One script in one Lua state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final, NamedTuple, final

import orjson
from lupa import lua51

_PRELUDE: Final = files(__package__).joinpath("prelude.lua").read_text()
_REFUSED: Final = (
    "collectgarbage dofile getfenv getmetatable load loadfile loadstring rawequal rawget rawset setfenv setmetatable "
    "module newproxy"
)
MEMORY: Final = 64 << 20  # bytes
SECONDS: Final = 1.0  # of CPU, for one call
LONGEST: Final = 128 << 10  # bytes of a script
NAME: Final = "<string>"  # as messages call the script: <string>:3: …

Host = Callable[..., Any]


class LuaError(Exception):
    """The script cannot be run, or failed; the text says where."""

    fatal = False  # the state cannot be used again


class Answer(NamedTuple):
    type: str  # Lua's: table, number, nil, …
    value: Any  # JSON; an empty table is []


def _refuse(obj: Any, name: Any, is_setting: bool) -> Any:
    raise AttributeError("not for scripts")


def _runtime(memory: int) -> Any:
    return lua51.LuaRuntime(
        register_eval=False,
        register_builtins=False,
        unpack_returned_tuples=True,
        attribute_filter=_refuse,
        max_memory=memory,
    )


def syntax_error(script: str) -> str | None:
    """Why the script does not compile, None when it does. Nothing of it is run."""
    try:
        Sandbox(script)
    except LuaError as error:
        return str(error)
    return None


@final
class Sandbox:
    """``modules``: what ``require`` finds, functions from JSON values to a JSON value by name, that raise ValueError."""

    def __init__(
        self, script: str, modules: Mapping[str, Mapping[str, Host]] | None = None, memory: int = MEMORY
    ) -> None:
        if script.startswith("\x1b"):
            raise LuaError(f"{NAME}: compiled scripts are not accepted")
        if len(script.encode()) > LONGEST:
            raise LuaError(f"{NAME}: the script is longer than {LONGEST >> 10} KiB")
        self._lua = _runtime(memory)
        self._too_much = f"{NAME}: the script needs more than {memory >> 20} MiB"
        hosts = {
            name: self._lua.table_from({called: self._host(function) for called, function in functions.items()})
            for name, functions in (modules or {}).items()
        }
        compile_script, self._call, self._tidy = self._lua.execute(
            _PRELUDE, self._lua.table_from(hosts), _REFUSED, name="prelude"
        )
        try:
            compiled = compile_script(script, NAME)
        except lua51.LuaMemoryError:
            raise _fatal(self._too_much) from None
        if isinstance(compiled, tuple):
            raise LuaError(compiled[1])
        self._chunk = compiled

    def call(self, function: str, *arguments: Any, returns: int = 1, seconds: float = SECONDS) -> list[Answer]:
        """Runs the script, then its global ``function``. Arguments are JSON values. Raises LuaError."""
        try:
            passed = [self._passed(argument) for argument in arguments]
            answers = self._call(self._chunk, function, returns, seconds, *passed)
        except lua51.LuaMemoryError:
            raise _fatal(self._too_much) from None
        except lua51.LuaError as error:
            raise LuaError(str(error).partition("\n")[0]) from None  # without the traceback of our own functions
        except UnicodeDecodeError:
            raise LuaError("encode lua result to json failed: a string is not UTF-8") from None
        except MemoryError:
            raise _fatal(self._too_much) from None
        finally:
            self._tidy()
        if not answers[0]:
            if "not enough memory" in answers[1]:
                raise _fatal(self._too_much)
            raise LuaError(answers[1])
        try:
            return [Answer(kind, orjson.loads(text)) for kind, text in zip(answers[1::2], answers[2::2], strict=True)]
        except orjson.JSONDecodeError as error:
            raise LuaError(f"encode lua result to json failed: {error}") from None

    @property
    def memory_used(self) -> int:
        """Bytes of the state between two calls."""
        return int(self._lua.get_memory_used())

    def _passed(self, value: Any) -> Any:
        """Nulls are left out, also in lists, which would have gaps and no length otherwise."""
        if not isinstance(value, dict | list):
            return value
        return self._lua.table_from(_without_gaps(value) if _has_gaps(value) else value, recursive=True)

    def _host(self, function: Host) -> Host:
        def called(arguments: str) -> tuple[bool, Any]:
            try:
                return True, self._passed(function(*orjson.loads(f"[{arguments}]")))
            except ValueError as error:
                return False, str(error)

        return called


def _has_gaps(value: dict[str, Any] | list[Any]) -> bool:
    """Is there a null in any list?"""
    todo: list[dict[str, Any] | list[Any]] = [value]
    while todo:
        container = todo.pop()
        if isinstance(container, list) and None in container:
            return True
        inside = container.values() if isinstance(container, dict) else container
        todo += [each for each in inside if isinstance(each, dict | list)]
    return False


def _without_gaps(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_gaps(each) for key, each in value.items()}
    return [_without_gaps(each) for each in value if each is not None] if isinstance(value, list) else value


def _fatal(text: str) -> LuaError:
    error = LuaError(text)
    error.fatal = True
    return error
