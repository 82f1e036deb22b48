"""Common Expression Language as kube-apiserver runs it: types, messages, libraries and costs are those of cel-go 0.26
and Kubernetes 1.36. Pure: no I/O, nothing kept but compiled patterns.

    environment = Environment({"object": DYN, "self": struct("Thing")}, objects=Objects({"Thing": {"size": INT}}))
    program = environment.compile("self.size > 1")         # CompileError: str() is cel-go's text, ``issues`` its parts
    program.output                                         # the type of what it gives
    program.uses("oldSelf")                                # whether it refers to a variable
    program.estimated_cost(sizes).high                     # before anything is known but sizes
    result = program.evaluate({"object": {…}}, cost_limit) # Result(value, cost, error, exceeded)

*Variables*: name -> type (``types``). Values are plain Python (``values`` has the table); JSON goes in as it is where its type
is DYN. What has a schema goes in through ``schema.Schema``: ``declared(…)`` gives types and sizes, ``value_of(…)`` the value.

*Objects* that expressions make (``Object{spec: …}``) are made by what its ``making`` gives.

*Costs*: ``evaluate`` stops at the limit (``PER_CALL_LIMIT``); a limit of a million is some tenths of a second of work here, so what may
run long belongs in a thread (``registry.threads``). Errors are no exceptions: ``Result.error`` is the text of cel-go.

*The authorizer*: ``libraries.authorizer.Authorizer(user, ask)`` is the value of a variable of type ``AUTHORIZER_TYPE``.
"""

from .environment import PER_CALL_LIMIT, Environment, InstantiationError, Program, Result
from .objects import Objects
from .source import CompileError, Issue

__all__ = [
    "PER_CALL_LIMIT",
    "CompileError",
    "Environment",
    "InstantiationError",
    "Issue",
    "Objects",
    "Program",
    "Result",
]
