"""What kinds mean to federation: replicas, health, statuses, dependencies. The native interpreter, by GroupVersionKind.

``Interpreter`` is what every step uses; behind it the scripts of customizations (`scripts`) and webhooks (`reviews`) come
before the native functions (`sources`, `customized`).
"""

from kafila.placement.interpreter.errors import InterpretError
from kafila.placement.interpreter.native import NATIVE, Interpreter, NativeInterpreter
from kafila.placement.interpreter.operations import Operation

__all__ = ["NATIVE", "InterpretError", "Interpreter", "NativeInterpreter", "Operation"]
