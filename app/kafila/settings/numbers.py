"""Numbers as flags take them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Seconds = Annotated[float, Field(le=1e9, allow_inf_nan=False)]
