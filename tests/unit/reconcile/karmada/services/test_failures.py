"""Of which sources a MultiClusterService's condition speaks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafila.core.resources import Key
from kafila.reconcile.karmada.services.failures import Failures

ONE, TWO = Key("works", "m1", "a"), Key("works", "m1", "b")
WEB, SHOP = Key("mcs", "default", "web"), Key("mcs", "default", "shop")


def test_one_source_at_a_time_is_told_of() -> None:
    failures = Failures()
    failures.note(ONE, WEB, "refused")
    failures.note(TWO, WEB, "too large")
    assert failures.text(WEB) == "refused"
    assert failures.text(WEB, without=ONE) == "too large"
    failures.note(ONE, WEB, "")
    assert (failures.text(WEB), failures.about(ONE), failures.about(TWO)) == ("too large", None, WEB)
    failures.note(TWO, SHOP, "refused")
    assert (failures.text(WEB), failures.text(SHOP)) == ("", "refused")
    failures.drop(SHOP)
    assert (failures.text(SHOP), failures.about(TWO)) == ("", None)


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.sampled_from([WEB, SHOP]), st.sampled_from(["", "why"]))))
def test_it_is_as_its_last_word_says(said: list[tuple[Key, Key, str]]) -> None:
    failures, last = Failures(), dict[Key, tuple[Key, str]]()
    for source, about, why in said:
        failures.note(source, about, why)
        last[source] = about, why
    for about in (WEB, SHOP):
        assert bool(failures.text(about)) == ((about, "why") in last.values())
    for source in (ONE, TWO):
        failures.forget(source)
    assert not failures._of
    assert not failures._about
