"""A control plane that is restored from a backup: what its members have too much is found, and removed when that is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from cluster_federation import Federation, deployment, policy, replicas
from cluster_harness import Member

SPACE = "restored-plane"


def kafila(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-c", "from kafila.cli import main; main()", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def checked(plane: Federation, *flags: str) -> tuple[str, ...]:
    """Each disagreement, and the clusters that were not seen. It ends with 1 where any of them is left."""
    done = kafila("check", "-o", "json", f"--kubeconfig={plane.kubeconfig}", *flags)
    document = json.loads(done.stdout)
    said = [
        f"{each['cluster']} {each['kind']} {each['namespace']}/{each['name']} {each['reason']}"
        + (" repaired" if each["repaired"] else "")
        for each in document["disagreements"]
    ]
    unseen = [f"{each['cluster']} unseen" for each in document["unseen"]]
    assert done.returncode == int(bool(unseen) or not all(each.endswith("repaired") for each in said))
    return (*sorted(said), *unseen)


def test_a_plane_restored_from_its_backup(federation: Federation, member2: Member, tmp_path: Path) -> None:
    plane = federation
    plane.kubectl("create", "namespace", SPACE)
    plane.apply(deployment("kept", SPACE), policy("kept", SPACE))
    plane.eventually("the first one", lambda: replicas(member2, "kept", SPACE) == 2)
    plane.eventually("all agree", lambda: checked(plane) == ())

    file = tmp_path / "backup"
    assert kafila("backup", str(file), f"--data-dir={plane.folder}").returncode == 0
    plane.apply(deployment("late", SPACE), policy("late", SPACE))
    plane.kubectl("scale", "deployment", "kept", "-n", SPACE, "--replicas=3")
    plane.eventually("the later one", lambda: replicas(member2, "late", SPACE) == 2)
    plane.eventually("the later change", lambda: replicas(member2, "kept", SPACE) == 3)

    plane.stop()
    (plane.folder / "postgres").rename(plane.folder / "lost")
    assert kafila("restore", str(file), f"--data-dir={plane.folder}").returncode == 0
    plane.start()
    plane.eventually("it is as it was", lambda: replicas(member2, "kept", SPACE) == 2)
    plane.eventually("members are seen", lambda: plane.is_ready("member1") and plane.is_ready("member2"))
    assert replicas(member2, "late", SPACE) == 2  # nobody says any more that it is there

    orphans = tuple(f"{name} Deployment {SPACE}/late ObjectWithoutWork" for name in ("member1", "member2"))
    assert checked(plane) == orphans
    assert checked(plane, "--cluster=member2") == orphans[1:]
    assert checked(plane, "--repair") == tuple(f"{each} repaired" for each in orphans)
    plane.eventually("it is gone", lambda: replicas(member2, "late", SPACE) == -1)
    assert checked(plane) == ()
    assert replicas(member2, "kept", SPACE) == 2
    unknown = kafila("check", "--cluster=nowhere", f"--kubeconfig={plane.kubeconfig}")
    assert (unknown.returncode, unknown.stderr) == (1, 'error: clusters.cluster.karmada.io "nowhere" not found\n')
    plane.kubectl("delete", "namespace", SPACE)
