"""Exchanging the key of service account tokens: at every step what signs is believed by those who are a step behind, or ahead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.identity import token_keys
from kafila.identity.authority import Refused
from kafila.identity.certificates import KeyPair, new_signing_key
from kafila.identity.token_keys import (
    OVERLAP,
    PUBLISHED,
    TokenKeys,
    described,
    due,
    finished,
    from_body,
    id_of,
    rolled_back,
    rotated,
    to_body,
)
from kafila.identity.tokens import InvalidToken, Tokens

NOW = datetime.now(UTC).replace(microsecond=0)


@cache
def first() -> TokenKeys:
    return TokenKeys(new_signing_key())


@cache
def second() -> TokenKeys:
    return rotated(first(), NOW, PUBLISHED, OVERLAP, "1")


def after(keys: TokenKeys, passed: timedelta) -> TokenKeys:
    found = due(keys, NOW + passed)
    assert found is not None
    return found


def tokens(keys: TokenKeys) -> Tokens:
    found = Tokens(keys.pair)
    found.replace(keys.pair, keys.others, keys.retired)
    return found


def test_a_key_is_published_before_it_signs() -> None:
    assert second().pair == first().pair
    assert due(second(), NOW + PUBLISHED - timedelta(seconds=1)) is None
    third = after(second(), PUBLISHED)
    assert second().next is not None
    assert third.pair == second().next.pair
    assert third.next is None
    assert third.previous is not None
    assert (third.previous.pair, third.previous.until) == (first().pair, NOW + PUBLISHED + OVERLAP)
    assert third.request == "1"
    last = after(third, PUBLISHED + OVERLAP)
    assert (last.previous, last.retired) == (None, (id_of(first().pair),))
    assert due(last, NOW + 10 * OVERLAP) is None


def test_no_third_key_is_made_meanwhile() -> None:
    again = rotated(second(), NOW, timedelta(minutes=1), timedelta(days=1), "2")
    assert again.next is not None
    assert second().next is not None
    assert again.next.pair == second().next.pair
    third = after(again, timedelta(minutes=1))
    later = rotated(third, NOW + timedelta(hours=5), PUBLISHED, timedelta(days=7), "3")
    assert (later.next, later.pair) == (None, third.pair)
    assert later.previous is not None
    assert later.previous.until == NOW + timedelta(minutes=1, days=7)


def test_going_back() -> None:
    assert rolled_back(second(), "2") == first()._replace(request="2")  # it has signed nothing
    third = after(second(), PUBLISHED)
    back = rolled_back(third, "2")
    assert back.previous is not None
    assert (back.pair, back.previous.pair) == (first().pair, third.pair)
    assert back.previous.until == NOW + PUBLISHED + OVERLAP
    assert rolled_back(back, "1") == third


def test_what_cannot_be() -> None:
    with pytest.raises(Refused, match="no rotation is under way: there is nothing to go back to"):
        rolled_back(first())
    with pytest.raises(Refused, match="no rotation is under way: there is nothing to finish"):
        finished(first())
    with pytest.raises(Refused, match="the new key does not sign yet: it does from"):
        finished(second())


def test_how_things_are_is_said() -> None:
    third = after(second(), PUBLISHED)
    one, two = id_of(first().pair), id_of(third.pair)
    assert described(first()) == f"key {one} signs, no other key is believed"
    at, until = (f"{NOW + passed:%Y-%m-%dT%H:%M:%SZ}" for passed in (PUBLISHED, PUBLISHED + OVERLAP))
    assert described(second()) == f"key {one} signs, key {two} is published and signs from {at} on"
    assert described(third) == f"key {two} signs, tokens of key {one} are believed until {until}"


def test_as_it_is_stored() -> None:
    third = after(second(), PUBLISHED)
    for keys in (first(), second(), third, finished(third, "4")):
        assert from_body({"metadata": {}, **to_body(keys)}) == keys
    assert set(to_body(first())) == {"certificate", "key"}  # as it always was


def test_tokens_are_believed_until_their_key_is_retired() -> None:
    third = after(second(), PUBLISHED)
    last = finished(third)
    old, _ = tokens(first()).issue("a", "b", "c", [], 600)
    new, _ = tokens(third).issue("a", "b", "c", [], 600)
    for keys, known in ((first(), [old]), (second(), [old, new]), (third, [old, new]), (last, [new])):
        verifier = tokens(keys)
        for token in (old, new):
            if token in known:
                assert verifier.verify(token) is not None
            else:
                with pytest.raises(InvalidToken):
                    verifier.verify(token)
        assert len(verifier.key_set()["keys"]) == len(known)
    assert tokens(last).is_of_retired_key(old)
    assert not tokens(last).is_of_retired_key(new)
    assert not tokens(last).is_of_retired_key("x.y.z")
    assert not tokens(third).is_of_retired_key(old)


Step = Callable[[TokenKeys, datetime], TokenKeys]
STEPS: dict[str, Step] = {
    "rotate": lambda keys, now: rotated(keys, now, timedelta(hours=1), timedelta(days=2)),
    "time": lambda keys, now: due(keys, now) or keys,
    "rollback": lambda keys, now: rolled_back(keys),
    "finish": lambda keys, now: finished(keys),
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12), st.data())
def test_what_signs_is_believed_a_step_before_and_after(steps: list[str], data: st.DataObject) -> None:
    made = iter(KeyPair(b"%d" % number, b"") for number in range(20))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(token_keys, "new_signing_key", lambda: next(made))
        patched.setattr(token_keys, "id_of", lambda pair: pair.certificate.decode())
        keys, now = TokenKeys(next(made)), NOW
        for step in steps:
            now += data.draw(st.sampled_from([timedelta(0), timedelta(hours=2), timedelta(days=3)]))
            try:
                following = STEPS[step](keys, now)
            except Refused:
                continue
            assert following.pair.certificate in [keys.pair.certificate, *keys.others]
            if step != "finish" and following.previous is not None:
                assert keys.pair.certificate in [following.pair.certificate, *following.others]
            assert not set(following.retired) & {following.pair.certificate.decode()}
            assert len(following.others) <= 1
            keys = following
