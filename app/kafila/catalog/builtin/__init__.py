"""What Kubernetes does to built-in objects on their way in, on plain JSON objects.

* :func:`strategy_for` — defaults, server-set fields, validation, rules of names and of generation
* :func:`print_columns` — the Table that kubectl shows
* :func:`selectable_fields` — what ``fieldSelector`` may name
"""

from .columns import print_columns
from .selectable import selectable_fields
from .strategies import strategy_for

__all__ = ["print_columns", "selectable_fields", "strategy_for"]
