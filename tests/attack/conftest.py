"""What an attacker sends: to the application in this process, to a whole control plane, to a federation of simulated members."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.attack.members import Hostile, hostile
from tests.integration.api.conftest import api, served
from tests.integration.conftest import kubectl
from tests.integration.reconcile.conftest import _known_queues, lab
from tests.unit.conftest import catalog, registry

__all__ = ["_known_queues", "api", "catalog", "kubectl", "lab", "registry", "served"]


@pytest.fixture
async def member() -> AsyncIterator[Hostile]:
    async with hostile() as found:
        yield found
