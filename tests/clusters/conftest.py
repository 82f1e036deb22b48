"""Members live as long as the test session: starting one costs seconds. Tests that break a member start their own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest imports test files by path (importlib mode); what they share is made importable under one name for all of them
for _name, _file in (
    ("cluster_harness", "harness.py"),
    ("cluster_federation", "federation.py"),
    ("cluster_metrics", "metrics.py"),
    ("cluster_estimators", "estimators.py"),
    ("cluster_stock", "stock.py"),
    ("cluster_pods", "pods.py"),
    ("cluster_gateway", "gateway.py"),
    ("cluster_opensearch", "opensearch.py"),
    ("cluster_streams", "streams.py"),
    ("cluster_rollouts", "rollouts.py"),
    ("cluster_karmada_agent", "karmada_agent.py"),
    ("cluster_workers", "workers.py"),
):
    if _name not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(_file))
        assert _spec is not None
        assert _spec.loader is not None
        _module = importlib.util.module_from_spec(_spec)
        sys.modules[_name] = _module
        _spec.loader.exec_module(_module)

from cluster_federation import Federation, federation_alone  # noqa: E402
from cluster_harness import ControlPlane, Member, Members, Options, members  # noqa: E402
from cluster_opensearch import OpenSearchNode, opensearch_node  # noqa: E402

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.clusters)
            item.add_marker(pytest.mark.timeout(600))  # the first one waits for the members


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    """Programs, an etcd and the members started so far."""
    with members(keep_logs_in=tmp_path_factory.mktemp("members")) as lab:
        yield lab


@pytest.fixture(scope="session")
def two_members(lab: Members) -> tuple[Member, Member]:
    """member1 with pods and a scheduler, member2 light (Deployments report ready without pods)."""
    (full,) = lab.start("member1")
    (light,) = lab.start("member2", options=Options(light=True))
    return full, light


@pytest.fixture(scope="session")
def member1(two_members: tuple[Member, Member]) -> Member:
    return two_members[0]


@pytest.fixture(scope="session")
def member2(two_members: tuple[Member, Member]) -> Member:
    return two_members[1]


@pytest.fixture(scope="session")
def opensearch() -> Iterator[OpenSearchNode]:
    with opensearch_node() as node:
        yield node


@pytest.fixture(scope="session")
def kafila(lab: Members) -> ControlPlane:
    """``kafila serve`` with all its controllers."""
    return lab.serve()


@pytest.fixture(scope="module")
def alone(lab: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A control plane that no member has joined."""
    with federation_alone(lab, keep_logs_in=tmp_path_factory.mktemp("serve")) as plane:
        yield plane


@pytest.fixture(scope="module")
def federation(alone: Federation, member1: Member, member2: Member) -> Iterator[Federation]:
    """member1 joined by karmadactl and member2 by kafila; both are left clean."""
    alone.join(member1, "karmadactl")
    alone.join(member2, "kafila")
    yield alone
    for name in list(alone.joined):
        alone.unjoin(name)
