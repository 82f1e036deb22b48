"""What kinds mean to federation: replicas, health, statuses, dependencies. The native interpreter, by GroupVersionKind.

``Interpreter`` is the door that every step uses; behind it the scripts of customizations (`scripts`) and webhooks (`reviews`) stand
before the native functions (`sources`, `consulted`).
"""

from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.native import NATIVE, Interpreter, NativeInterpreter, Operation

__all__ = ["NATIVE", "InterpretError", "Interpreter", "NativeInterpreter", "Operation"]
