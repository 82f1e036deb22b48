"""A workload's copies in members: as they are followed where this process has the cluster, else as the member says when asked."""

from __future__ import annotations

from typing import Final, final

import orjson

from kafila.catalog.kind import Kind
from kafila.core.errors import StatusError
from kafila.core.values import Object
from kafila.members.client import resource_path
from kafila.members.transport import Unreachable, UnusableAnswer
from kafila.placement.work.member_object import is_managed
from kafila.reconcile.karmada.member.manager import MemberManager
from kafila.reconcile.karmada.member.shards import Shards
from kafila.reconcile.karmada.member.work_router import WorkRouter

PATIENCE: Final = 5.0  # seconds


@final
class Copies:
    def __init__(self, shards: Shards, router: WorkRouter, elsewhere: MemberManager) -> None:
        """``elsewhere``: connects the members that other processes have."""
        self._shards = shards
        self._router = router
        self._elsewhere = elsewhere

    async def observed_body(self, cluster: str, kind: Kind, copy: Object) -> bytes | None:
        """As JSON; ``copy``: its apiVersion, kind and metadata. None where there is none of ours, or nobody knows at the moment."""
        if self._shards.holds(cluster):
            return self._router.observed_body(cluster, copy)
        connection = self._elsewhere.get(cluster)
        if connection is None:
            return None
        metadata = copy["metadata"]
        path = resource_path(copy["apiVersion"], kind.plural, metadata.get("namespace", ""), metadata["name"])
        try:
            found = await connection.client.find(path, timeout=PATIENCE)
        except (StatusError, Unreachable, UnusableAnswer):
            return None
        return orjson.dumps(found) if found is not None and is_managed(found) else None
