"""Lua 5.1 for scripts of users, as Karmada's (gopher-lua) understands it: what they may call, how long, with how much memory.

Nothing here does I/O. What a script can still do is to hold its thread in one long C call (a hopeless pattern), so whoever runs
scripts that are not trusted runs them in a process that can be ended.
"""

from .convert import restore_empty
from .sandbox import LuaError, Sandbox, syntax_error

__all__ = ["LuaError", "Sandbox", "restore_empty", "syntax_error"]
