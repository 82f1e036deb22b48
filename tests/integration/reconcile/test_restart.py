"""After a start everything is looked at again, but nobody with something new has to wait for that, and no event is recorded twice."""

from __future__ import annotations

import asyncio
from typing import Any, final

from kafila.members.transport import Headers, Response, Timeouts, Transport

from .conftest import USER, DeleteOptions, Lab

CONFIGMAPS = [{"apiVersion": "v1", "kind": "ConfigMap"}]


@final
class ListsHang:
    """A member whose lists of ConfigMaps do not come before ``open`` is set."""

    def __init__(self, inner: Transport, open: asyncio.Event) -> None:
        self._inner = inner
        self._open = open

    async def send(
        self, method: str, target: str, headers: Headers, body: bytes | None, timeouts: Timeouts
    ) -> Response:
        if "/configmaps?" in target and "limit=" in target:
            await self._open.wait()
        return await self._inner.send(method, target, headers, body, timeouts)

    async def close(self) -> None:
        await self._inner.close()


async def test_news_do_not_wait_for_the_lists_of_members(two: Lab) -> None:
    await two.create(two.policy("all", "m1", select=CONFIGMAPS))
    for name in ("old", "changed"):
        await two.create(two.config(name))
    await two.until(lambda: two.in_clusters("ConfigMap", "old") == two.in_clusters("ConfigMap", "changed") == ["m1"])
    await two.rest()
    opened = asyncio.Event()
    reach: Any = two._transport
    two._transport = lambda cluster: ListsHang(reach(cluster), opened)  # type: ignore[method-assign]
    await two.restart()
    await two.create(two.config("new"))
    await two.until(lambda: two.in_clusters("ConfigMap", "new") == ["m1"], "what is new")
    await two.change("ConfigMap", "changed", lambda obj: obj.update(data={"a": "2"}))
    await two.until(lambda: two.in_member("m1", "ConfigMap", "changed")["data"] == {"a": "2"}, "what changed")
    opened.set()
    await two.rest()
    assert two.in_clusters("ConfigMap", "old") == ["m1"]


async def test_what_the_list_shows_is_repaired(two: Lab) -> None:
    await two.create(two.policy("all", "m1", select=CONFIGMAPS))
    for name in ("gone", "bent"):
        await two.create(two.config(name))
    await two.until(lambda: two.in_clusters("ConfigMap", "gone") == two.in_clusters("ConfigMap", "bent") == ["m1"])
    await two.rest()
    await two.stop()
    member = two.members["m1"].registry
    kind = two.kind("ConfigMap")
    await member.delete(kind, "default", "gone", DeleteOptions())
    await member.modify(kind, "default", "bent", lambda obj: obj | {"data": {"a": "bent"}}, USER)
    await two.restart()
    await two.until(lambda: two.in_clusters("ConfigMap", "gone") == ["m1"], "what was deleted meanwhile")
    await two.until(lambda: two.in_member("m1", "ConfigMap", "bent").get("data") == {"a": "1"}, "what was changed")


async def test_no_event_is_recorded_again(two: Lab) -> None:
    await two.create(two.policy("all", "m1", "m2", select=CONFIGMAPS))
    await two.create(two.config("settings"))
    await two.until(lambda: two.in_clusters("ConfigMap", "settings") == ["m1", "m2"])
    await two.rest()
    before = sorted(map(two.recorded, two.list("Event")))
    assert before
    await two.restart()
    await two.rest()
    assert sorted(map(two.recorded, two.list("Event"))) == before


def _label(name: str, value: str) -> Any:
    """An OverridePolicy that puts a label on copies of ConfigMaps."""
    overriders = {"labelsOverrider": [{"operator": "add", "value": {"mark": value}}]}
    return {
        "apiVersion": "policy.karmada.io/v1alpha1",
        "kind": "OverridePolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"resourceSelectors": CONFIGMAPS, "overrideRules": [{"overriders": overriders}]},
    }


async def test_overrides_that_changed_meanwhile_reach_what_has_no_policy(two: Lab) -> None:
    """What users changed of such a template goes on waiting for a policy unless the copies are made anew."""
    await two.create(two.policy("all", "m1", select=CONFIGMAPS))
    await two.create(_label("labels", "1"))
    await two.create(two.config("left"))
    await two.rest()
    await two.delete("PropagationPolicy", "all")
    await two.rest()

    def mark() -> str | None:
        found: str | None = two.in_member("m1", "ConfigMap", "left")["metadata"]["labels"].get("mark")
        return found

    assert mark() == "1"
    await two.change("ConfigMap", "left", lambda obj: obj.update(data={"a": "2"}))
    await two.rest()
    await two.restart()
    await two.rest()
    assert two.in_member("m1", "ConfigMap", "left")["data"] == {"a": "1"}

    await two.controllers_stop()
    changed = _label("labels", "2")["spec"]
    await two.change("OverridePolicy", "labels", lambda obj: obj.update(spec=changed))
    await two.restart()
    await two.rest()
    assert mark() == "2"
    assert two.in_member("m1", "ConfigMap", "left")["data"] == {"a": "2"}

    await two.controllers_stop()
    await two.delete("OverridePolicy", "labels")
    await two.restart()
    await two.rest()
    assert mark() is None
