"""Members' pods by their labels, and who selects them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafila.autoscaling.pods import Pod
from kafila.autoscaling.podset import PodSet
from kafila.core.resources import Key
from kafila.core.selectors import parse
from kafila.reconcile.karmada.federatedhpa import members
from kafila.reconcile.karmada.federatedhpa.members import MemberPods, PodIndex, Pods
from kafila.reconcile.karmada.federatedhpa.selectors import MOST, SelectingAutoscalers

SELECTORS = ["", "a=1", "a=1,b=1", "a in (1,2)", "a!=1", "b", "!b,a=2"]
labels = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"))
changes = st.lists(
    st.tuples(st.sampled_from(["x", "y"]), st.sampled_from("pqrs"), st.none() | labels, st.sampled_from(SELECTORS)),
    max_size=40,
)


def pod(name: str, labels: dict[str, str]) -> Pod:
    return Pod(name, labels, "Running", False, None, "True", 0.0, ())


def key(name: str) -> Key:
    return Key("federatedhpas.autoscaling.karmada.io", "x", name)


@given(changes)
def test_the_index_finds_what_a_look_at_all_would(done: list[tuple[str, str, dict[str, str] | None, str]]) -> None:
    """Pods come, change, go, and are asked for in between: an index that is made late knows the earlier ones too."""
    index, pods = PodIndex(), dict[tuple[str, str], Pod]()
    for namespace, name, found, text in done:
        if found is None:
            pods.pop((namespace, name), None)
        else:
            pods[namespace, name] = pod(name, found)
        index.put(namespace, name, pods.get((namespace, name)))
        selector = parse(text)
        wanted = [each for (where, _), each in pods.items() if where == "x" and selector.matches(each.labels)]
        assert sorted(each.name for each in index.select("x", selector)) == sorted(each.name for each in wanted)


def test_it_looks_at_few_pods_of_many() -> None:
    index = PodIndex()
    for number in range(1000):
        index.put("x", f"p{number}", pod(f"p{number}", {"app": f"{number // 10}", "env": "prod"}))
    assert len(index.select("x", parse("app=7,env=prod"))) == 10
    assert len(list(index._candidates("x", parse("app=7,env=prod")))) == 10


@given(st.lists(st.tuples(st.sampled_from("kl"), st.none() | st.sampled_from(SELECTORS)), max_size=12), labels)
def test_who_selects_a_pod(done: list[tuple[str, str | None]], found: dict[str, str]) -> None:
    selecting, selectors = SelectingAutoscalers(), dict[Key, str]()
    for name, text in done:
        if text is None:
            selecting.forget(key(name))
            selectors.pop(key(name), None)
        else:
            selecting.put(key(name), parse(text))
            selectors[key(name)] = text
    wanted = {each for each, text in selectors.items() if parse(text).matches(found)}
    assert selecting.of("x", PodSet([pod("p", found)])) == wanted
    assert selecting.of("elsewhere", PodSet([pod("p", found)])) == set()


def test_of_very_many_only_some_are_told() -> None:
    selecting = SelectingAutoscalers()
    for number in range(10_000):
        selecting.put(key(f"{number}"), parse("app=web"))
    assert len(selecting.of("x", PodSet([pod("p", {"app": "web"})]))) == MOST


async def test_what_was_forgotten_is_no_ghost_for_who_asks_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that comes while the informer of before is being ended sees only what the next one brings."""
    told: list[Any] = []
    ending = asyncio.Event()

    class Told:
        def __init__(self, client: Any, path: str, on_change: Any, **more: Any) -> None:
            told.append(on_change)
            self.synced = asyncio.Event()
            self.synced.set()

        def forget(self) -> None: ...

    class Ended:
        def __init__(self, informer: Any) -> None: ...

        async def stop(self) -> None:
            await ending.wait()

    monkeypatch.setattr(members, "Informer", Told)
    monkeypatch.setattr(members, "Following", Ended)
    connection: Any = SimpleNamespace(name="m", client=None)
    pods = MemberPods(Pods(), connection)
    there = SimpleNamespace(name=("x", "old"), after=SimpleNamespace(kept=pod("old", {"a": "1"})))
    assert await pods.select("x", parse("a=1")) == []
    told[0](there)
    stopping = asyncio.create_task(pods.stop())
    while pods._informer is not None:
        await asyncio.sleep(0)
    assert await pods.select("x", parse("a=1")) == []
    told[0](there)  # a last word of the one before
    ending.set()
    await stopping
    assert await pods.select("x", parse("a=1")) == []
    await pods.stop()
