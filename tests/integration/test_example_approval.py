"""What the example of approvals says of labels and of deletions, over a control plane with small limits."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .test_examples import Lab

SIX = "/api/v1/namespaces/default/configmaps?labelSelector=example%3Dapproval"
BY_LABEL = '{"spec":{"placement":{"clusterAffinity":{"clusterNames":null,"labelSelector":{"matchLabels":{"example":"approval"}}}}}}'


@pytest.fixture
async def lab(kubectl: Path) -> AsyncIterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="kafila-approval-") as name:
        os.chmod(name, 0o711)
        lab = Lab(Path(name), str(kubectl))
        lab._settings = lab._settings.model_copy(update={"deletion_max_objects": 5})
        await lab.start()
        try:
            yield lab
        finally:
            await lab.stop()


async def explained(lab: Lab) -> str:
    """As one line."""
    return " ".join((await lab.kubectl("kafila", "why", "configmap/six-1")).split())


async def test_labels_and_deletions(lab: Lab) -> None:
    def are_in(*members: str) -> bool:
        return all(lab.holders("configmaps", f"six-{number}") == set(members) for number in range(1, 7))

    await lab.apply("approval")
    await lab.eventually(lambda: are_in("member1", "member2"))
    await lab.kubectl("label", "clusters", "member1", "member2", "example=approval")
    await lab.kubectl("patch", "propagationpolicy", "six", "--type=merge", "-p", BY_LABEL)
    await lab.kubectl("label", "cluster", "member2", "example-")
    held = "--for=jsonpath={.metadata.annotations.kafila\\.io/held-relabeling}"
    await lab.kubectl("wait", "cluster/member2", held, "--timeout=90s")
    why = await explained(lab)
    stays = "member2 is not what policies mean any more, and what is there stays until that is approved: 6 objects"
    assert stays in why
    assert are_in("member1", "member2")
    what = "6 objects leave member2, which their policies do not mean any more"
    assert await lab.kubectl("kafila", "approve", "cluster/member2") == f"cluster/member2 approved: {what}\n"
    await lab.eventually(lambda: are_in("member1"))

    refused = await lab.kubectl("delete", "--raw", SIX, check=False)
    what = "6 objects are to be deleted that policies have placed in clusters"
    assert f"{what}: more than 5 at once wait for an approval" in refused
    assert f"Deletions in namespace default wait for an approval: {what}." in await explained(lab)
    rows = (await lab.kubectl("kafila", "approve")).splitlines()
    assert [row.split(maxsplit=2) for row in rows[1:]] == [["Namespace", "default", what]]
    assert are_in("member1")
    assert await lab.kubectl("kafila", "approve", "ns/default") == f"namespace/default approved: {what}\n"
    await lab.kubectl("delete", "--raw", SIX)
    await lab.eventually(lambda: are_in())
