"""Owner references that are given twice: kept once, and the client is warned."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from kafila.core.values import json_key

from .context import Options

WARNING = (
    ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such "
    "requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}"
)


def drop_repeated_owners(metadata: dict[str, Any], options: Options) -> None:
    given = metadata.get("ownerReferences")
    if not given or len(given) == 1:
        return
    kept: dict[Hashable, Any] = {}
    repeated: list[str] = []
    for owner in given:
        if kept.setdefault(json_key(owner), owner) is not owner:
            repeated.append(owner.get("uid", ""))
    if repeated:
        metadata["ownerReferences"] = list(kept.values())
        options.warn([WARNING.format(", ".join(repeated))])
