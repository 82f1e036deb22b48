"""What kinds mean to federation: replicas, health, statuses, dependencies. The native interpreter, by GroupVersionKind.

``Interpreter`` is the door that every step uses, so that customizations (Lua, webhooks) can stand before the native functions.
"""

from app.placement.interpret.native import NATIVE, Interpreter, NativeInterpreter, Operation

__all__ = ["NATIVE", "Interpreter", "NativeInterpreter", "Operation"]
