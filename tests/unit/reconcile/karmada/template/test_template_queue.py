"""Why a template is reconciled is remembered until that was done with success."""

from __future__ import annotations

import asyncio

import pytest

from kafila.core.resources import Key
from kafila.reconcile.karmada.template.changes import EnqueueReason
from kafila.reconcile.karmada.template.template_queue import TemplateQueue

KEY = Key("deployments.apps", "default", "nginx")


class Runs:
    def __init__(self) -> None:
        self.seen: asyncio.Queue[EnqueueReason] = asyncio.Queue()
        self.fails = 0

    async def reconcile(self, key: Key, why: EnqueueReason) -> None:
        self.seen.put_nowait(why)
        if self.fails:
            self.fails -= 1
            raise ValueError


@pytest.fixture
async def runs() -> Runs:
    return Runs()


async def test_reasons_add_up(runs: Runs) -> None:
    templates = TemplateQueue(runs.reconcile)
    templates.enqueue(KEY, EnqueueReason.STATUS, background=True)
    templates.enqueue(KEY, EnqueueReason.USER)
    templates.queue.start()
    assert await runs.seen.get() == EnqueueReason.STATUS | EnqueueReason.USER
    await templates.queue.stop()


async def test_after_a_failure_they_hold_for_the_next_run(runs: Runs) -> None:
    runs.fails = 1
    templates = TemplateQueue(runs.reconcile)
    templates.queue.start()
    templates.enqueue(KEY, EnqueueReason.CLAIMING_POLICY)
    assert await runs.seen.get() == await runs.seen.get() == EnqueueReason.CLAIMING_POLICY
    await templates.queue.stop()


async def test_a_reason_that_is_kept_waits_for_whoever_enqueues_it(runs: Runs) -> None:
    templates = TemplateQueue(runs.reconcile)
    templates.queue.start()
    templates.keep(KEY, EnqueueReason.USER)
    templates.enqueue(KEY, EnqueueReason.DEPENDENCY)
    assert await runs.seen.get() == EnqueueReason.USER | EnqueueReason.DEPENDENCY
    await templates.queue.stop()


async def test_of_what_is_gone_nothing_is_remembered(runs: Runs) -> None:
    templates = TemplateQueue(runs.reconcile)
    templates.enqueue(KEY, EnqueueReason.USER)
    templates.forget(KEY)
    other = Key("deployments.apps", "default", "other")
    templates.enqueue(other, EnqueueReason.POLICY)
    templates.queue.start()
    assert await runs.seen.get() == EnqueueReason.POLICY
    assert runs.seen.empty()
    await templates.queue.stop()
