"""The start of a process: PostgreSQL starts while Python loads the rest of the program.

Loading takes one core half of the time until the process is ready; on the other one the embedded PostgreSQL comes up, and
replays its log after a crash. Nothing is imported here that the store does not need. What the API does not need to answer
(controllers, and the client of members and webhooks) is loaded behind: `process.py`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kafila.settings.settings import Settings
from kafila.store import open_store
from kafila.store.interface import Store
from kafila.telemetry.fatal import guard

from .loading import loaded

if TYPE_CHECKING:
    from .encryption import AtRest

MOST_DESCRIPTORS = 65536  # programs that we start walk through all of them at times


def raise_descriptors() -> None:
    """The soft limit to the hard one: each connection, member and stream takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Data(NamedTuple):
    store: Store
    at_rest: AtRest | None  # how it is encrypted


async def open_data(settings: Settings) -> Data:
    """The store of these settings, open. Makes the data folder. Raises what :func:`kafila.store.open_store` raises, and KeysNeeded."""
    # as root the embedded PostgreSQL runs as another user, who has to pass through; the files inside are private
    settings.data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    at_rest: AtRest | None = None
    if settings.encryption_provider_config:
        from .encryption import AtRest

        at_rest = AtRest(settings)
        await at_rest.start()
    sealer = at_rest.encryption if at_rest is not None else None
    return Data(await open_store(settings.database_url, settings.data_dir, settings.event_ttl, sealer), at_rest)


async def serve(settings: Settings, listeners: Sequence[socket.socket] = ()) -> None:
    """Serves until SIGTERM or SIGINT, on ``listeners``, which are bound; without any it binds itself."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    opening = asyncio.create_task(open_data(settings))
    program = await loaded("kafila.workers.process")
    store, at_rest = await opening
    await program.Process(settings, store, stopping=stopping, listeners=listeners, at_rest=at_rest).run()


def run(settings: Settings, listeners: Sequence[socket.socket] = ()) -> None:
    """Blocks until SIGTERM or SIGINT."""
    run_guarded(serve(settings, listeners))


def run_guarded(program: Coroutine[Any, Any, None]) -> None:
    """Runs what serves until it ends: with all descriptors there are, private files, and an end at what nobody handles."""
    import uvloop

    gc.disable()  # what is loaded stays: nobody goes through it meanwhile. When the process is ready `collector.py` enables it
    os.umask(0o066)
    raise_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        guard(runner.get_loop())
        runner.run(program)
