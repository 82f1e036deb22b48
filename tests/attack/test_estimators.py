"""An estimator that answers anything but an estimate: it is not heard, and keeps nobody waiting."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import final

import pytest
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from kafila.members.estimator import EstimatorClient
from kafila.members.grpc import RawBytes
from kafila.placement.scheduler.deschedule import Shortage, taken
from kafila.placement.scheduler.estimator_wire import MAX_REPLICAS, EstimatorError

HEADS = {
    "endless": struct.pack(">BI", 0, 2**32 - 1) + b"x" * 1000,
    "large": struct.pack(">BI", 0, 1 << 20) + b"\x08\x01" * (1 << 19),
    "compressed": struct.pack(">BI", 1, 2) + b"\x08\x01",
    "cut off": struct.pack(">BI", 0, 100) + b"\x08",
    "half a head": b"\x00\x00",
    "nonsense": struct.pack(">BI", 0, 4) + b"\x0f\xff\xff\xff",
}


@final
class Liar:
    def __init__(self) -> None:
        self.says: bytes | None = None

    def __mapping__(self) -> dict[str, Handler]:
        return {MAX_REPLICAS: Handler(self._answer, Cardinality.UNARY_UNARY, bytes, bytes)}

    async def _answer(self, stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        if self.says is None:
            await stream.send_message(b"\x08\x07")
            return
        if not self.says:
            raise GRPCError(Status.INTERNAL, "long " * 1_000)
        await stream.send_initial_metadata()
        await stream._stream.send_data(self.says, end_stream=True)


@pytest.fixture
async def liar() -> AsyncIterator[tuple[Liar, EstimatorClient]]:
    liar = Liar()
    server = Server([liar], codec=RawBytes())
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    client = EstimatorClient("127.0.0.1", port, None)
    yield liar, client
    client.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("how", [*HEADS, "an error without end"])
async def test_what_is_no_estimate_is_not_heard(liar: tuple[Liar, EstimatorClient], how: str) -> None:
    server, client = liar
    server.says = HEADS.get(how, b"")
    with pytest.raises(EstimatorError) as failed:
        await client.call(MAX_REPLICAS, b"", "a workload", 30.0)
    assert len(str(failed.value)) <= 512
    server.says = None
    assert await client.call(MAX_REPLICAS, b"", "a workload", 30.0) == 7, "the next one is heard again"


@pytest.mark.parametrize("said", [-1, -(2**31), 0, 3, 4, 5, 2**31 - 1, 2**63 - 1])
def test_an_estimator_takes_nothing_that_is_ready(said: int) -> None:
    """The descheduler asks how many of four replicas have found no node; three are ready."""
    lost = taken([Shortage("m1", 4, 3)], {"m1": said})
    assert lost == ({"m1": 1} if said in (3, 4) else {})
