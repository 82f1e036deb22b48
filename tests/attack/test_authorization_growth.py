"""What somebody without any right asks about rights leaves nothing behind that matters."""

from __future__ import annotations

import gc
import tracemalloc

from tests.integration.api.conftest import Api
from tests.integration.api.test_authorization import ANN

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def test_long_questions_are_forgotten(api: Api) -> None:
    api.user = ANN
    long = "x" * (1 << 20)

    async def ask(number: int) -> None:
        for part in ("verb", "resource", "namespace"):
            attributes = {"verb": "get", "resource": "pods", part: f"{number}{long}"}
            answer = await api.post(REVIEWS, {"spec": {"resourceAttributes": attributes}})
            assert (answer.status_code, answer.json()["status"]["allowed"]) == (201, False)
        path = {"path": f"/{number}{long}", "verb": "get"}
        assert (await api.post(REVIEWS, {"spec": {"nonResourceAttributes": path}})).status_code == 201

    await ask(0)
    tracemalloc.start()
    try:
        for number in range(1, 5):
            await ask(number)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4 << 20  # of 16 MiB that were sent
