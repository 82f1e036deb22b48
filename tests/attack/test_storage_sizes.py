"""Objects that grow while they are written: what is stored has a limit, whichever verb asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.core.errors import StatusError
from kafila.core.resources import Key
from kafila.core.values import Object
from kafila.machinery.structural.defaulting import LIMIT as DEFAULTS_LIMIT
from kafila.registry import Options, sizes
from tests.integration.api.conftest import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    Api,
    configmap,
    deployment,
    failure,
)
from tests.integration.api.test_custom_resources import WIDGETS, Server, definition, server, widget
from tests.integration.reconcile.conftest import make_lab

__all__ = ["make_lab", "server"]
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
LIMIT = 64 << 10
BIG = "x" * LIMIT


def stored(api: Api, resource: str, name: str) -> int:
    """Bytes, 0 when there is none."""
    found = api.store.database.objects.get(Key(resource, "default", name))
    return len(found.body) if found else 0


def too_large(answer: Any, limit: int = LIMIT) -> None:
    status = failure(answer, 413, "RequestEntityTooLarge")
    assert status["message"] == f"Request entity too large: limit is {limit}"


async def test_patches_add_up_to_the_limit_and_no_further(api: Api) -> None:
    await api.made(DEPLOYMENTS, deployment("d"))
    answers = []
    for number in range(4):
        container = {"name": f"c{number}", "image": "nginx:1", "args": ["x" * 2_900_000]}
        patch = [{"op": "add", "path": "/spec/template/spec/containers/-", "value": container}]
        answers.append(await api.patch(f"{DEPLOYMENTS}/d", patch, JSON_PATCH))
    assert [answer.status_code for answer in answers] == [200, 200, 413, 413]
    too_large(answers[-1], 8 << 20)
    assert stored(api, "deployments.apps", "d") < 8 << 20


VERBS: dict[str, tuple[str, str, Any, str]] = {
    "create": ("POST", MAPS, configmap("b", big=BIG), "application/json"),
    "generated": ("POST", MAPS, {"metadata": {"generateName": "b-"}, "data": {"big": BIG}}, "application/json"),
    "update": ("PUT", f"{MAPS}/a", configmap("a", big=BIG), "application/json"),
    "json patch": ("PATCH", f"{MAPS}/a", [{"op": "add", "path": "/data", "value": {"big": BIG}}], JSON_PATCH),
    "merge patch": ("PATCH", f"{MAPS}/a", {"data": {"big": BIG}}, MERGE_PATCH),
    "strategic patch": ("PATCH", f"{MAPS}/a", {"data": {"big": BIG}}, STRATEGIC_PATCH),
    "apply": ("PATCH", f"{MAPS}/a?fieldManager=m&force=true", configmap("a", big=BIG), APPLY_PATCH),
    "apply anew": ("PATCH", f"{MAPS}/c?fieldManager=m", configmap("c", big=BIG), APPLY_PATCH),
    "status": (
        "PATCH",
        f"{DEPLOYMENTS}/d/status",
        {"status": {"conditions": [{"type": "Big", "status": "True", "message": BIG}]}},
        MERGE_PATCH,
    ),
    "metadata": ("PATCH", f"{DEPLOYMENTS}/d/scale", {"metadata": {"annotations": {"a": BIG}}}, MERGE_PATCH),
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("verb", VERBS)
async def test_no_verb_stores_more_than_the_limit(api: Api, verb: str, dry_run: bool) -> None:
    api.registry.transactions.max_object_bytes = LIMIT
    await api.made(MAPS, configmap("a"))
    await api.made(DEPLOYMENTS, deployment("d"))
    before = dict(api.store.database.objects)
    method, path, body, media_type = VERBS[verb]
    query = "dryRun=All"
    answer = await api.ask(
        method, path + (f"{'&' if '?' in path else '?'}{query}" if dry_run else ""), body, type=media_type
    )
    if verb == "metadata":  # a Scale has no annotations of its own to give
        assert answer.status_code == 200
        assert stored(api, "deployments.apps", "d") < LIMIT
        return
    too_large(answer)
    assert api.store.database.objects == before


async def test_controllers_learn_which_object_was_too_large(api: Api) -> None:
    registry, options = api.registry, Options(include_status=True)
    registry.transactions.max_object_bytes = LIMIT
    kind = registry.kind("", "v1", "configmaps")
    changes = [
        registry.stage_create(kind, "default", configmap(name, data=data), options)
        for name, data in (("small", "x"), ("big", BIG))
    ]
    with pytest.raises(StatusError, match="limit is") as refused:
        await registry.commit_together(changes)
    assert (refused.value.code, refused.value.details) == (413, {"kind": "configmaps", "name": "big"})
    assert stored(api, "configmaps", "small") == 0


async def test_what_is_too_large_already_may_be_deleted_and_made_smaller(api: Api) -> None:
    """The limit was lowered since."""
    await api.made(
        MAPS, configmap("a", big=BIG + BIG, more="x" * 100) | {"metadata": {"name": "a", "finalizers": ["x.io/f"]}}
    )
    await api.made(MAPS, configmap("b", big=BIG))
    api.registry.transactions.max_object_bytes = LIMIT
    assert (await api.delete(f"{MAPS}/b")).status_code == 200
    too_large(await api.patch(f"{MAPS}/a", {"data": {"more": "x" * 200}}))
    assert (await api.patch(f"{MAPS}/a", {"data": {"more": "x" * 20}})).status_code == 200
    assert (await api.delete(f"{MAPS}/a")).json()["metadata"]["deletionTimestamp"]
    too_large(await api.patch(f"{MAPS}/a", {"data": {"more": "x" * 2000}}))
    assert (await api.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})).status_code == 200
    assert stored(api, "configmaps", "a") == 0


# Defaults of a CustomResourceDefinition ---------------------------------------------------------------------------------


def with_defaults(default: str | None) -> Object:
    """Widgets whose ``spec.many`` are objects with a default each."""
    crd = definition()
    many(crd)["items"]["properties"]["filled"] = {"type": "string", **({"default": default} if default else {})}
    return crd


def many(crd: Object) -> Object:
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec["properties"].setdefault("many", {"type": "array", "items": {"type": "object", "properties": {}}})


async def test_defaults_do_not_make_a_small_object_huge(server: Server) -> None:
    """300 kB were 100 MB once they were filled in."""
    await server.define(with_defaults("x" * 1000))
    await server.api.made(WIDGETS, widget("small", many=[{}] * 1000))
    answer = await server.api.post(WIDGETS, widget("big", many=[{}] * 90_000))
    too_large(answer, DEFAULTS_LIMIT)
    grown = await server.api.patch(f"{WIDGETS}/small", {"spec": {"many": [{}] * 90_000}})
    too_large(grown, DEFAULTS_LIMIT)
    assert len((await server.api.get(f"{WIDGETS}/small")).json()["spec"]["many"]) == 1000


async def test_what_was_stored_before_the_defaults_is_shown_without_those_that_do_not_fit(server: Server) -> None:
    await server.define(with_defaults(None))
    await server.api.made(WIDGETS, widget("small", many=[{}]))
    await server.api.made(WIDGETS, widget("big", many=[{}] * 90_000))

    def change(crd: Object) -> None:
        many(crd)["items"]["properties"]["filled"]["default"] = "x" * 1000

    await server.redefine("widgets.example.com", change)
    assert (await server.api.get(f"{WIDGETS}/small")).json()["spec"]["many"] == [{"filled": "x" * 1000}]
    assert (await server.api.get(f"{WIDGETS}/big")).json()["spec"]["many"] == [{}] * 90_000
    assert (await server.api.delete(f"{WIDGETS}/big")).status_code == 200


async def test_works_that_do_not_fit_into_one_transaction_are_written_in_several(
    make_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A template of 3 MB for 300 clusters: 900 MB at once cut the connection of everybody."""
    lab = await make_lab().start()
    monkeypatch.setattr(sizes, "MAX_TRANSACTION_BYTES", LIMIT)  # the roles of the start are one transaction
    try:
        await lab.join("m1", "m2", "m3")
        await lab.create(lab.config() | {"data": {"half": "x" * (LIMIT // 2)}})
        select = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}]
        await lab.create(lab.policy(select=select))
        await lab.until(lambda: lab.in_clusters("ConfigMap", "settings") == ["m1", "m2", "m3"], "it is everywhere")
        await lab.rest()
        assert [event for event in lab.events("ConfigMap", "settings") if event[0] == "Warning"] == []
    finally:
        await lab.close()
