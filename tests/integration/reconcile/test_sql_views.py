"""The controller sql-views over simulated members: rows follow what is stored, also what happened while it did not run."""

from __future__ import annotations

from typing import Any

import pytest

from kafila.reconcile.karmada.sql_views.controller import SQLViews
from kafila.store.fleet import NotTheProjector, Replacement, Row
from kafila.store.memory_fleet import MemoryFleet
from kafila.store.sealing import Clear
from tests.integration.encryption.at_rest import encryption, provider
from tests.waiting import eventually

from .conftest import Lab

ON = "*,sql-views"


def views(lab: Lab) -> SQLViews | None:
    return next((each for each in lab.controllers._controllers if isinstance(each, SQLViews)), None)


async def started(make_lab: type[Lab], **settings: Any) -> Lab:
    lab = await make_lab(controllers=ON, **settings).start()
    _look_at_progress(lab)
    return lab


def _look_at_progress(lab: Lab) -> None:
    found = views(lab)
    assert found is not None
    found.progressed = lambda revision: lab.look()


def table(lab: Lab, name: str, /, **where: Any) -> list[Row]:
    rows = lab.database.fleet.tables[name].values()
    return [row for row in rows if all(row[column] == value for column, value in where.items())]


def up_to_date(lab: Lab) -> bool:
    """Every object of the cache is there at its revision, and nothing else."""
    stored = {
        (entry.key.resource, entry.key.namespace, entry.key.name): entry.revision
        for resource in lab.registry.cache.resources()
        if resource.name not in ("events", "leases.coordination.k8s.io")
        for entry in resource.entries()
    }
    found = {(r["resource"], r["namespace"], r["name"]): r["revision"] for r in table(lab, "object", cluster="")}
    return found == stored


async def test_a_template_on_its_way(make_lab: type[Lab]) -> None:
    lab = await started(make_lab)
    try:
        await lab.join("m1", "m2")
        await lab.create(lab.policy("policy", "m1", "m2"))
        await lab.create(lab.deployment())

        def is_there() -> bool:
            rows = table(lab, "placement", name="web", ready=2)
            return [row["cluster"] for row in rows] == ["m1", "m2"] and up_to_date(lab)

        await lab.until(is_there, "its placements are in the table")
        assert {(row["why"], row["replicas"], row["applied"]) for row in table(lab, "placement")} == {
            ("policy default/policy", 2, True)
        }
        assert {row["name"]: row["ready"] for row in table(lab, "cluster")} == {"m1": "True", "m2": "True"}
        (binding,) = table(lab, "binding")
        assert (binding["kind"], binding["name"], binding["scheduled"]) == ("Deployment", "web", True)
        works = table(lab, "work", kind="Deployment")
        assert {(w["cluster"], w["applied"], *w["images"]) for w in works} == {
            ("m1", True, "nginx:1"),
            ("m2", True, "nginx:1"),
        }
        assert {work["id"] for work in works} == {binding["id"]}
        (template,) = table(lab, "object", kind="Deployment")
        assert (template["wanted"], template["images"], template["api_version"]) == (2, ["nginx:1"], "apps/v1")
        await lab.until(lambda: table(lab, "event", name="web", kind="Deployment"), "its events are there")
        await lab.delete("Deployment", "web")
        await lab.until(
            lambda: not any(table(lab, name, name="web") for name in ("placement", "binding", "work", "object")),
            "nothing of it is left",
        )
    finally:
        await lab.close()


async def test_what_happened_meanwhile_is_caught_up_with(make_lab: type[Lab]) -> None:
    lab = await started(make_lab)
    try:
        for name in ("stays", "changes", "goes"):
            await lab.create(lab.deployment(name))
        await lab.until(lambda: up_to_date(lab), "all of it is there")
        await lab.controllers_stop()
        await lab.delete("Deployment", "goes")
        await lab.change("Deployment", "changes", lambda obj: obj["spec"].update(replicas=9))
        await lab.create(lab.deployment("comes"))
        await lab.restart()
        _look_at_progress(lab)
        await lab.until(lambda: up_to_date(lab), "all of it is there again")
        assert {row["name"]: row["wanted"] for row in table(lab, "object", kind="Deployment")} == {
            "stays": 2,
            "changes": 9,
            "comes": 2,
        }
        lab.database.fleet.tables["object"].clear()  # as after somebody emptied it
        lab.resync_controllers()
        await lab.until(lambda: up_to_date(lab), "another history is projected anew")
    finally:
        await lab.close()


async def test_another_reset_while_it_compares_is_not_forgotten(
    make_lab: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = await started(make_lab)
    try:
        await lab.create(lab.deployment())
        await lab.until(lambda: up_to_date(lab), "all of it is there")
        known, compared = MemoryFleet.known, list[str]()

        async def reset_behind_it(self: MemoryFleet, resource: str, *more: Any) -> Any:
            if resource == "namespaces" and resource not in compared:
                assert "deployments.apps" in compared
                self.tables["object"].clear()
                lab.resync_controllers()
            compared.append(resource)
            return await known(self, resource, *more)

        monkeypatch.setattr(MemoryFleet, "known", reset_behind_it)
        lab.resync_controllers()
        await lab.until(lambda: "namespaces" in compared and up_to_date(lab), "the second history is projected too")
    finally:
        await lab.close()


async def test_it_is_off_unless_it_is_named(make_lab: type[Lab]) -> None:
    lab = await make_lab().start()
    try:
        await lab.create(lab.deployment())
        assert views(lab) is None
        await lab.rest()
        assert not any(lab.database.fleet.tables.values())
    finally:
        await lab.close()


async def test_what_search_has_cached_of_members(make_lab: type[Lab]) -> None:
    lab = await started(make_lab)
    try:
        await lab.join("m1", "m2")
        spec = {"targetCluster": {}, "resourceSelectors": [{"apiVersion": "v1", "kind": "Node"}]}
        registry = {
            "apiVersion": "search.karmada.io/v1alpha1",
            "kind": "ResourceRegistry",
            "metadata": {"name": "nodes"},
        }
        await lab.create({**registry, "spec": spec})

        def clusters() -> set[str]:
            lab.look()  # the cache of search is no part of the log
            return {row["cluster"] for row in table(lab, "object", kind="Node")}

        await eventually(lambda: clusters() == {"m1", "m2"})
        await lab.delete("Cluster", "m2")
        await eventually(lambda: clusters() == {"m1"})
        await lab.delete("ResourceRegistry", "nodes")
        await eventually(lambda: clusters() == set())
    finally:
        await lab.close()


async def test_an_object_that_the_database_cannot_hold_keeps_no_other_away(
    make_lab: type[Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = MemoryFleet.write

    async def picky(self: MemoryFleet, writer: int, replacements: list[Replacement], **more: Any) -> int:
        if any(row.get("name") == "bad" for each in replacements for row in each.rows):
            raise ValueError("no")
        return await written(self, writer, replacements, **more)

    monkeypatch.setattr(MemoryFleet, "write", picky)
    lab = await started(make_lab)
    try:
        for name in ("bad", *(f"good{number}" for number in range(5))):
            await lab.create(lab.deployment(name))
        await lab.until(lambda: len(table(lab, "object", kind="Deployment")) == 5, "the others are there")
        warned = "Warning", "SQLViewsRefused", "It is not in the views of kafila sql: no"
        await lab.until(lambda: (*warned, 1) in lab.events("Deployment", "bad"), "and who looks at it is told")
    finally:
        await lab.close()


async def test_another_process_takes_over(make_lab: type[Lab]) -> None:
    lab = await started(make_lab)
    try:
        await lab.create(lab.deployment())
        await lab.until(lambda: up_to_date(lab))
        fleet = lab.database.fleet
        before = fleet._writer
        await fleet.take_over(5, 1)
        with pytest.raises(NotTheProjector):
            await fleet.write(before, [])
        await lab.create(lab.deployment("other"))  # by now it is this process' turn again
        await lab.until(lambda: up_to_date(lab))
    finally:
        await lab.close()


async def test_what_is_encrypted_from_now_on_leaves_no_text_behind(make_lab: type[Lab]) -> None:
    """Nothing is written to the objects: what was projected before is made anew all the same."""
    lab = await started(make_lab)
    try:
        await lab.create(lab.deployment(team="blue"))
        await lab.create(lab.config("stays"))

        def told(kind: str) -> list[Any]:
            return [(row["labels"], row["images"]) for row in table(lab, "object", kind=kind)]

        await lab.until(lambda: up_to_date(lab) and told("Deployment") and told("ConfigMap"), "it is there")
        before = told("ConfigMap")
        assert told("Deployment") == [({"app": "web", "team": "blue"}, ["nginx:1"])]
        revision = lab.get("Deployment", "web")["metadata"]["resourceVersion"]
        lab.store.sealer = encryption(("deployments.apps", provider("aesgcm", "key1")))
        await lab.until(lambda: told("Deployment") == [(None, None)] and told("ConfigMap") == before, "it is made anew")
        assert lab.get("Deployment", "web")["metadata"]["resourceVersion"] == revision
        lab.store.sealer = Clear()
        await lab.until(
            lambda: told("Deployment") == [({"app": "web", "team": "blue"}, ["nginx:1"])], "it is in clear again"
        )
    finally:
        await lab.close()
