"""Documents about the API itself: discovery and OpenAPI."""

from __future__ import annotations

from typing import final

from app.catalog.catalog import Catalog

from .request import Request
from .responses import Response


@final
class Documents:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def answer(self, request: Request) -> Response | None:
        """None when there is no such document."""
        return None
