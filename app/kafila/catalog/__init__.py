"""The kinds as data: how each one looks, what it defaults to, what is allowed, and how it is shown. No I/O.

* :mod:`.kind` is the contract: a :class:`~kafila.catalog.kind.Kind` and its ``Strategy`` are all that other packages see of a kind.
* :mod:`.catalog` finds kinds by path; discovery and OpenAPI documents are made from the same rows, so they cannot disagree.
* Built-in kinds come from generated tables and hand-written rules (``builtin``), Karmada's from pydantic models (``karmada``).
"""
