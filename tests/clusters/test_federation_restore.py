"""A member whose etcd is restored from an older copy: its resourceVersions go back, and what came since is gone or as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster_federation import Federation, deployment, policy, replicas
from cluster_harness import Etcd, Member, Members, Options

HERE = ("restored",)
NAMES = ("kept", "changed", "deleted", "new")


class Restored:
    """A member over an etcd of its own."""

    def __init__(self, lab: Members) -> None:
        folder = lab.folder / "own"
        folder.mkdir()
        self.etcd = Etcd(lab.root, folder)
        self.etcd.start()
        (self.member,) = lab.start("restored", options=Options(light=True, nodes=1), etcd=self.etcd)

    def save(self) -> None:
        self.etcd.save()
        self.member.wait_ready()

    def restore(self) -> None:
        self.member.stop_api()
        self.etcd.restore()
        self.member.start_api()

    def version(self) -> int:
        return int(
            self.member.kubectl("get", "--raw", "/api/v1/namespaces?limit=1")
            .split('"resourceVersion":"')[1]
            .split('"')[0]
        )


@pytest.fixture
def restored(lab: Members, alone: Federation) -> Iterator[Restored]:
    own = Restored(lab)
    alone.join(own.member)
    yield own
    alone.unjoin("restored")
    own.member.stop()
    own.etcd.process.stop()


def placed(member: Member) -> list[int]:
    return [replicas(member, name) for name in NAMES] + [replicas(member, "late", "late")]


def test_a_member_restored_to_an_older_state_is_repaired(alone: Federation, restored: Restored) -> None:
    member = restored.member
    for name in ("kept", "changed", "deleted"):
        alone.apply(deployment(name), policy(name, clusters=HERE))
    alone.eventually("the first three", lambda: placed(member) == [2, 2, 2, -1, -1])
    restored.save()
    saved = restored.version()

    alone.kubectl("scale", "deployment", "changed", "--replicas=4")
    alone.kubectl("delete", "deployment,propagationpolicy", "deleted")
    alone.kubectl("create", "namespace", "late")
    alone.apply(
        *(deployment("new"), policy("new", clusters=HERE)),
        *(deployment("late", "late"), policy("late", "late", clusters=HERE)),
    )
    wanted = [2, 4, -1, 2, 2]
    alone.eventually("what changed since", lambda: placed(member) == wanted)
    for turn in range(10):  # far ahead of what it will go back to: what comes after does not reach this again
        member.kubectl("annotate", "namespace", "default", f"turn={turn}", "--overwrite")
    assert restored.version() > saved + 10

    restored.restore()
    alone.eventually("the repair", lambda: placed(member) == wanted)

    # it is followed again, though its versions are lower than those that were seen
    alone.kubectl("scale", "deployment", "new", "--replicas=3")
    ready = ("get", "deployment", "new", "changed", "-o", "jsonpath={.items[*].status.readyReplicas}")
    alone.eventually("statuses", lambda: alone.kubectl(*ready) == "3 4")
    member.kubectl("scale", "deployment", "kept", "--replicas=7")
    alone.eventually("drift is repaired", lambda: replicas(member, "kept") == 2)
    member.kubectl("delete", "deployment", "changed")
    alone.eventually("what is deleted there comes back", lambda: replicas(member, "changed") == 4)
