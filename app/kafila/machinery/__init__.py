"""API machinery without I/O: decoding by schema, the four patches, managedFields, protobuf, YAML, JSONPath.

* Everything works on plain JSON values and a :class:`~kafila.machinery.schema.Schema`; no module knows a kind.
* Arguments are not changed, unless a docstring says so; results may share parts with them.
* What a schema says is compiled once (decoders, typed fields), and interpreted never.

There are no names here: import the module that has the idea.
"""
