"""Questions to stored JSON that its bytes answer, without decoding it (docs/adr/0011).

Bodies have no spaces between their parts, and quotes within texts are escaped: the needle of a field is found in a name, never in
a text. Where it is not found, the object has no such field. Where it is, it may stand elsewhere in the object:
who needs to know decodes then.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

_WHATEVER: Final = object()


def field(name: str, value: Any = _WHATEVER) -> bytes:
    """A field of this name, with any value or with this one."""
    return orjson.dumps(name) + b":" + (b"" if value is _WHATEVER else orjson.dumps(value))


def text(value: str) -> bytes:
    return orjson.dumps(value)
