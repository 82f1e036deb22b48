"""Both ends of a tunnel, and a connection between them that passes on what the test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafila.members.tunnel import incoming, streams
from kafila.members.tunnel.frames import GOING_AWAY, REPLACED, WINDOW, Frame, Kind, decode, encode, window
from kafila.members.tunnel.stream import Stream, TunnelError
from kafila.members.tunnel.streams import Tunnel
from kafila.members.tunnel.websocket import VIOLATION, Message, WebSocket

MUCH = bytes(range(256)) * 4096  # 1 MiB


class Wire:
    """One direction, which keeps what is written until it is carried over."""

    def __init__(self, to: Callable[[bytes], None]) -> None:
        self.to = to
        self.kept: list[bytes] = []
        self.holds = self.ended = self.paused = False

    def write(self, data: bytes) -> None:
        self.kept.append(data)
        if not self.holds:
            self.carry()

    def carry(self) -> None:
        while self.kept:
            self.to(self.kept.pop(0))

    def pause_reading(self) -> None:
        """Its other end is not to be read."""
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def finish(self) -> None:
        self.ended = True


@dataclass
class Reader:
    """What a stream is joined with. One that is full says so."""

    stream: Stream
    got: bytearray = field(default_factory=bytearray)
    paused: bool = False  # it is not to write

    def write(self, data: bytes) -> None:
        self.got += data

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def finish(self) -> None: ...


class Pair:
    def __init__(self, most_streams: int = 1000) -> None:
        self.accepted: list[Stream] = []
        self.opens = True
        self.plane = Tunnel(client=False, most_streams=most_streams)
        self.agent = Tunnel(client=True, accept=self._accept)
        self.down = Wire(lambda data: self.agent.write(data))  # to the agent
        self.up = Wire(lambda data: self.plane.write(data))
        self.plane.over(self.down)
        self.agent.over(self.up)

    def _accept(self, stream: Stream) -> None:
        self.accepted.append(stream)
        if self.opens:
            stream.accept()

    async def open(self) -> tuple[Reader, Reader]:
        """Who reads at the control plane, and at the agent."""
        near = await self.plane.open()
        far = self.accepted[-1]
        readers = Reader(near), Reader(far)
        near.join(readers[0])
        far.join(readers[1])
        return readers


@pytest.fixture
async def pair() -> Pair:
    return Pair()


async def test_bytes_go_both_ways(pair: Pair) -> None:
    near, far = await pair.open()
    near.stream.write(MUCH)
    far.stream.write(b"answer")
    assert (bytes(far.got), bytes(near.got)) == (MUCH, b"answer")
    assert not near.paused
    near.stream.finish()
    assert far.stream.ended.done()
    assert (pair.plane.streams, pair.agent.streams) == (0, 0)


async def test_who_is_not_read_stops_alone(pair: Pair) -> None:
    slow_near, slow_far = await pair.open()
    quick_near, quick_far = await pair.open()
    slow_near.stream.pause_reading()  # its user takes nothing for now
    slow_far.stream.write(MUCH)
    assert slow_far.paused
    assert len(slow_near.got) == WINDOW
    quick_far.stream.write(MUCH)
    assert bytes(quick_near.got) == MUCH
    assert not quick_far.paused
    quick_near.stream.write(b"still")
    assert bytes(quick_far.got) == b"still"
    slow_near.stream.resume_reading()
    assert bytes(slow_near.got) == MUCH
    assert not slow_far.paused


async def test_who_ends_is_heard_to_his_last_byte(pair: Pair) -> None:
    near, far = await pair.open()
    near.stream.pause_reading()
    far.stream.write(MUCH)
    far.stream.finish()
    far.stream.write(b"too late")
    assert not near.stream.ended.done()
    near.stream.resume_reading()
    assert bytes(near.got) == MUCH
    assert near.stream.ended.done()
    assert (pair.plane.streams, pair.agent.streams) == (0, 0)


async def test_a_connection_that_is_full_takes_no_more_and_then_all_in_turn(pair: Pair) -> None:
    readers = [await pair.open() for _ in range(3)]
    pair.plane.pause_reading()
    for near, _ in readers:
        near.stream.write(MUCH[:100_000])
        assert near.paused
    assert not any(far.got for _, far in readers)
    pair.down.holds = True
    pair.plane.resume_reading()
    agent = WebSocket(client=True)
    frames = [decode(m.data) for data in pair.down.kept for m in agent.received(data) if isinstance(m, Message)]
    assert [frame.stream for frame in frames[:9]] == [1, 2, 3] * 3
    pair.down.carry()
    assert all(bytes(far.got) == MUCH[:100_000] for _, far in readers)
    assert not any(near.paused for near, _ in readers)


async def test_what_cannot_be_dialled_is_told(pair: Pair) -> None:
    pair.opens = False
    opening = asyncio.create_task(pair.plane.open())
    await asyncio.sleep(0)
    pair.accepted[0].abort("connection refused")
    with pytest.raises(TunnelError, match="connection refused"):
        await opening
    opening = asyncio.create_task(pair.plane.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert pair.accepted[1].ended.done()
    assert pair.plane.streams == pair.agent.streams == 0


async def test_so_many_streams_and_no_more() -> None:
    pair = Pair(most_streams=2)
    await pair.open()
    near, _ = await pair.open()
    with pytest.raises(TunnelError, match="2 connections go through the tunnel, and no more"):
        await pair.open()
    near.stream.finish()
    await pair.open()


@pytest.mark.parametrize("which", ["plane", "agent"])
async def test_with_a_tunnel_all_its_streams_end(pair: Pair, which: str) -> None:
    near, far = await pair.open()
    tunnel: Tunnel = getattr(pair, which)
    tunnel.end(REPLACED, "another came")
    assert near.stream.ended.done()
    assert far.stream.ended.done()
    assert pair.plane.ended.result() == pair.agent.ended.result() == (REPLACED, "another came")
    assert pair.down.ended
    assert pair.up.ended
    near.stream.write(b"x")
    near.stream.finish()
    with pytest.raises(TunnelError, match="has ended"):
        await pair.plane.open()


async def test_a_lost_connection_ends_it(pair: Pair) -> None:
    near, _ = await pair.open()
    pair.plane.finish()
    assert near.stream.ended.done()
    assert near.stream.reason == "the tunnel has ended"
    assert pair.plane.ended.result().code == 1006


def hostile(data: bytes) -> bytes:
    return WebSocket(client=True).message(data)


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([Frame(Kind.OPEN, 7)], "a stream that an agent opens"),
        ([Frame(Kind.DATA, 2, b"x")], "a frame of a stream that was never opened"),
        ([Frame(Kind.OPENED, 1)], "a stream that is opened twice"),
        ([Frame(Kind.DATA, 1, b"x" * (16 << 10))] * 17, "more bytes than a stream's window"),
        ([window(1, 1)], "a window that is larger than it may be"),
    ],
)
async def test_an_agent_that_breaks_the_rules_loses_its_tunnel(pair: Pair, frames: list[Frame], why: str) -> None:
    near = await pair.plane.open()
    Reader(near)
    near.pause_reading()
    for frame in frames:
        pair.plane.write(hostile(encode(frame)))
    assert pair.plane.ended.result() == (VIOLATION, why)
    assert near.ended.done()


@pytest.mark.parametrize("data", [b"\x81\x80\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"\x82\x05hello", b"\xff" * 64])
async def test_what_is_no_websocket_of_ours_ends_it(pair: Pair, data: bytes) -> None:
    pair.plane.write(data)
    assert pair.plane.ended.result().code == VIOLATION


async def test_a_message_without_end_is_not_gathered(pair: Pair) -> None:
    pair.plane.write(b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0")  # of a gigabyte
    for _ in range(4):
        pair.plane.write(b"x" * (8 << 10))
    assert pair.plane.ended.result() == (VIOLATION, "a message of more than 16389 bytes")


async def test_numbers_are_used_once(pair: Pair) -> None:
    """Whoever sends again what was sent before is found out."""
    server = WebSocket(client=False)
    pair.up.holds = True
    for number in (1, 1):
        pair.agent.write(server.message(encode(Frame(Kind.OPEN, number))))
    assert pair.agent.ended.result() == (VIOLATION, "a stream's number that was used before")


async def test_frames_of_streams_that_have_ended_are_nobodys(pair: Pair) -> None:
    near, _ = await pair.open()
    near.stream.finish()
    for frame in (Frame(Kind.DATA, 1, b"late"), window(1, 5), Frame(Kind.CLOSE, 1)):
        pair.plane.write(hostile(encode(frame)))
    assert not pair.plane.ended.done()
    assert not near.got


async def test_pings_that_nobody_reads_the_answers_of_are_not_kept(pair: Pair) -> None:
    agent = WebSocket(client=True)
    pair.plane.pause_reading()
    for number in range(1000):
        pair.plane.write(agent.ping(number.to_bytes(8, "big")))
    assert not pair.down.kept
    pair.down.holds = True
    pair.plane.resume_reading()
    assert pair.down.kept == [b"\x8a\x08" + (999).to_bytes(8, "big")]


SMALL_FRAMES = [
    WebSocket(client=True).ping(b""),
    WebSocket(client=True).pong(b""),
    hostile(encode(Frame(Kind.CLOSE, 1))),
    hostile(encode(window(1, 1))),
    hostile(encode(Frame(Kind.DATA, 1, b"x"))),
    b"\x02\x81\0\0\0\0\x03" + b"\x00\x80\0\0\0\0" * 7 + b"\x80\x85\0\0\0\0\0\0\0\1x",  # a message in crumbs
]


@pytest.mark.parametrize("frame", SMALL_FRAMES, ids=["ping", "pong", "close", "window", "data", "crumbs"])
async def test_small_frames_have_a_turn_as_others_have(pair: Pair, frame: bytes) -> None:
    """What a connection hands over at once is taken in pieces, while it hands over nothing more, and too much ends the tunnel."""
    near, _ = await pair.open()
    near.stream.finish()  # what comes of it is nobody's
    others = 0
    for _ in range(4):
        pair.plane.write(frame * ((256 << 10) // len(frame)))
        assert pair.plane.ended.done() or pair.down.paused
        while pair.down.paused and not pair.plane.ended.done():
            others += 1
            await asyncio.sleep(0)
    assert others > incoming.CONTROL_BURST // incoming.AT_ONCE // 2
    assert pair.plane.ended.result() == (VIOLATION, "more than 2000 control frames a second")


async def test_what_comes_in_turns_comes_in_order_and_the_connection_goes_on(pair: Pair) -> None:
    near, _ = await pair.open()
    sent = [bytes([number % 256]) for number in range(3 * incoming.AT_ONCE)]
    pair.plane.write(b"".join(hostile(encode(Frame(Kind.DATA, 1, each))) for each in sent))
    pair.plane.write(hostile(encode(Frame(Kind.DATA, 1, b"behind"))))
    assert len(near.got) < len(sent)
    assert pair.down.paused
    while pair.down.paused:
        await asyncio.sleep(0)
    assert bytes(near.got) == b"".join(sent) + b"behind"


async def test_what_is_left_unread_when_it_ends_is_nobodys(pair: Pair) -> None:
    near, _ = await pair.open()
    pair.plane.write(WebSocket(client=True).ping(b"") * (3 * incoming.AT_ONCE))
    assert pair.down.paused
    pair.plane.end(GOING_AWAY, "")
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    await asyncio.sleep(0)
    assert not pair.down.paused
    assert not failed
    assert near.stream.ended.done()


async def test_an_answer_that_was_kept_back_is_none_when_it_has_ended(pair: Pair) -> None:
    pair.plane.pause_reading()
    pair.plane.write(WebSocket(client=True).ping(b"x"))
    pair.plane.end(REPLACED, "another came")
    pair.plane.resume_reading()  # what was said last has left
    assert not pair.down.kept


async def test_latency_is_measured_and_silence_ends_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = asyncio.create_task(pair.plane.keep())
    await asyncio.sleep(0)
    assert pair.plane.latency > 0
    pair.plane.end(GOING_AWAY, "")
    await keeping
    monkeypatch.setattr(streams, "PERIOD", 0.0)
    monkeypatch.setattr(streams, "DEADLINE", 0.0)
    silent = Pair()
    silent.down.holds = True
    await silent.plane.keep()
    assert silent.plane.ended.result() == (GOING_AWAY, "nothing was heard for 0s")


WRITES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["up", "down", "full", "free", "pause", "resume"]),
        st.integers(1, 3 * WINDOW),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(WRITES)
def test_whatever_happens_bytes_arrive_once_and_in_order(steps: list[tuple[int, str, int]]) -> None:
    async def play() -> None:
        pair = Pair()
        readers = [await pair.open() for _ in range(3)]
        sent = {(number, way): bytearray() for number in range(3) for way in ("up", "down")}
        for at, (number, what, size) in enumerate(steps):
            near, far = readers[number]
            match what:
                case "up" | "down":
                    source = far if what == "up" else near
                    if not source.paused:  # as a source does
                        data = bytes([at % 256]) * size
                        sent[number, what] += data
                        source.stream.write(data)
                case "full":
                    near.stream.pause_reading()
                case "free":
                    near.stream.resume_reading()
                case "pause":
                    pair.plane.pause_reading()
                case "resume":
                    pair.plane.resume_reading()
            for number, (near, far) in enumerate(readers):
                assert sent[number, "up"].startswith(near.got)
                assert sent[number, "down"].startswith(far.got)
        pair.plane.resume_reading()
        for number, (near, far) in enumerate(readers):
            near.stream.resume_reading()
            assert near.got == sent[number, "up"]
            assert far.got == sent[number, "down"]
            assert not near.paused
            assert not far.paused
        assert not pair.plane.ended.done()

    asyncio.run(play())
