"""What is stored of bodies, and what comes back."""

from __future__ import annotations

import random
import threading

import orjson
import pytest
import zstandard

from kafila.store.dictionaries import is_better
from kafila.store.packing import LARGEST, MissingDictionary, Packing, number_of
from kafila.store.training import train, trained

EVENT = (
    b'{"metadata":{"name":"web.18ec7c5611cdf4fd","namespace":"shop","uid":"9df95cb1-86bb-453a-943c-003b9db89bac"},'
    b'"involvedObject":{"kind":"Deployment","namespace":"shop","name":"web","apiVersion":"apps/v1"},'
    b'"reason":"ScheduleBindingSucceed","type":"Normal","count":1}'
)
DEFLATED = bytes.fromhex(
    "01c39a8ecb539380e93735d93cd9d4ccd0303925cd242d052d988a33f20be00164999266699a9c64a86b619694a46b626a9ca86b6962"
    "9cac6b60609c6499926461999498ac842f0e706663a8350877e12a116a7137f783713610e1a10000"
)
PACKED = bytes.fromhex(
    "02252919f90106000075030012c40e1690b56d6b0d8a7b6d2233fd9fbbf4b4369201cedd2c0701330a7eacc6ab3e42ea875ae712cb2ea6cc4f4dab46411c9b30edcd4a7e3832261801020f00c84406b964040de70de4071d04520e15640250178842e588c812801a14a49b1be82165cf9928888ba2e3659f0002"
)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


BODIES = {
    "an event": EVENT,
    "nothing": b"",
    "one byte": b"1",
    "not of ours": orjson.dumps({"reason": "Fällt", "message": "ö" * 300}),
    "what has nothing in common": b"{" + noise(500),
    "the largest that is packed": b"{" + b" " * (LARGEST - 1),
    "a larger one": b"{" + b" " * LARGEST,
}


def works(count: int, seed: int = 1) -> list[bytes]:
    """Bodies that have a long text of their installation in common, and a name and a uid of their own."""
    chance = random.Random(seed)
    common = bytes(random.Random("an installation").choices(b"abcdefghijklmnopqrstuvwxyz ", k=1500)).decode()
    return [
        orjson.dumps(
            {
                "metadata": {"name": f"app-{chance.randrange(10**6)}", "uid": f"{chance.getrandbits(128):032x}"},
                "spec": {"text": common, "replicas": chance.randrange(9)},
            }
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("event", [True, False])
def test_what_was_put_in_comes_out(body: bytes, event: bool) -> None:
    packing = Packing()
    assert packing.unpack(packing.pack(body, event)) == body
    assert len(packing.pack(body, event)) <= len(body)


def test_what_is_in_databases_stays_readable() -> None:
    packing = Packing()
    assert packing.unpack(DEFLATED) == EVENT  # red: the dictionary was changed, and nothing stored can be read any more
    assert packing.unpack(PACKED) == EVENT
    assert packing.unpack(EVENT) == EVENT  # as it was stored before


def test_large_ones_are_left_to_postgresql() -> None:
    assert Packing().pack(BODIES["a larger one"]) == BODIES["a larger one"]


def test_a_dictionary_is_learned_where_bodies_have_more_in_common() -> None:
    packing = Packing()
    content = train(works(200))
    assert is_better(packing, packing.base, content, works(100, seed=2))
    packing.of_objects = packing.add(content)
    for body in works(20, seed=3):  # of which it knows none
        stored = packing.pack(body)
        assert packing.unpack(stored) == body
        assert len(stored) < len(packing.packed(body, packing.base)) / 4
    another = train(works(200, seed=4))
    assert not is_better(packing, packing.of_objects, another, works(100, seed=2))


async def test_it_is_trained_in_a_process_of_its_own() -> None:
    packing = Packing()
    assert is_better(packing, packing.base, await trained(works(200)), works(100, seed=2))


@pytest.mark.parametrize("bodies", [[], [b"{}"]])
async def test_where_there_is_nothing_to_learn_nothing_comes(bodies: list[bytes]) -> None:
    assert await trained(bodies) == b""


def test_noise_makes_nothing_better() -> None:
    bodies = [noise(900 + n) for n in range(300)]
    packing = Packing()
    assert not is_better(packing, packing.base, train(bodies[::2]), bodies[1::2])


def test_what_needs_a_dictionary_that_is_not_here_says_so() -> None:
    packing = Packing()
    content = train(works(200))
    number = packing.add(content)
    stored = packing.packed(works(1)[0], number)
    with pytest.raises(MissingDictionary) as missing:
        Packing().unpack(stored)
    assert missing.value.number == number == number_of(content)


def test_nothing_that_is_stored_unpacks_to_more_than_the_largest() -> None:
    """Whoever can write to the database cannot fill the memory of those who read it."""
    packing = Packing()
    stored = packing.pack(b"{" + b" " * (LARGEST - 1))
    shorter = stored[:5] + b"\x00\x10" + stored[7:]
    with pytest.raises(zstandard.ZstdError):
        packing.unpack(shorter)


def test_threads_do_not_share_what_packs() -> None:
    packing = Packing()
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        wrong.extend(body for body in works(300, seed) if packing.unpack(packing.pack(body)) != body)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
