"""Parts of the program that are loaded when they are needed, and not before."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any


async def loaded(module: str) -> Any:
    """In a thread: others on the event loop have their turns meanwhile."""
    return await asyncio.to_thread(importlib.import_module, module)
