"""What admission looks at beside the object that is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.admission import Admission
from app.admission.karmada.surroundings import Surroundings
from app.catalog.catalog import Catalog
from app.machinery.lua import syntax_error
from app.registry.apart import on_loop
from app.registry.codec import decode_entry
from app.settings.settings import Settings
from app.watch import Cache, Entry

Object = dict[str, Any]
CUSTOMIZATIONS = "resourceinterpretercustomizations.config.karmada.io"


def admission(cache: Cache, catalog: Catalog, settings: Settings) -> Admission:
    def entries(resource: str) -> list[Entry]:
        return on_loop(lambda: list(cache.resource(resource).entries()))

    def customizations() -> Iterator[Object]:
        kind = catalog.storage_kind(CUSTOMIZATIONS)
        assert kind is not None
        return (decode_entry(kind, entry) for entry in entries(CUSTOMIZATIONS))

    around = Surroundings(
        customizations=customizations,
        lua_error=syntax_error,
        allow_no_execute=settings.allow_no_execute_taint_policy,
    )

    def objects(resource: str) -> Iterator[Object]:
        return (entry.decode() for entry in entries(resource))

    return Admission(settings.gates, around, objects)
