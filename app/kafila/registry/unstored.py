"""Objects that are answered and never stored (reviews, tokens): they come through the same door as what is stored."""

from __future__ import annotations

from typing import Any

from kafila.core.clock import rfc3339
from kafila.machinery import managedfields
from kafila.machinery.schema import Schema

from .context import Options


def track(obj: dict[str, Any], api_version: str, schema: Schema, options: Options, subresource: str = "") -> None:
    """Writes into ``metadata.managedFields`` who sent what."""
    fields = managedfields.update(
        None,
        obj,
        manager=options.manager,
        api_version=api_version,
        subresource=subresource,
        time=rfc3339(),
        schema=schema,
    )
    if fields:
        obj["metadata"]["managedFields"] = fields
