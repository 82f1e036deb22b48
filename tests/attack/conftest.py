"""What an attacker sends: to the application in this process, to a whole control plane, to a federation of simulated members."""

from __future__ import annotations

from tests.integration.api.conftest import api, served
from tests.integration.conftest import kubectl

__all__ = ["api", "kubectl", "served"]
