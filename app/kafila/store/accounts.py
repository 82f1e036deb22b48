"""The system user that an embedded PostgreSQL runs as, and the folder that belongs to it.

PostgreSQL refuses root. Started by root it runs as the user ``kafila``, or as a number that is nobody's: what runs as
``nobody`` or as another service may look into whatever else does. From then on the folder's owner decides which one it is.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from kafila.core.posix import NOBODY

_OWN: Final = range(60578, 61184)  # neither distributions nor systemd give these numbers away


class EmbeddedError(RuntimeError):
    """The embedded PostgreSQL cannot run; the text says why and what to do."""


class InUse(EmbeddedError):
    """Another kafila has started it."""


class Account(NamedTuple):
    """The system user the server runs as; ``switch`` is what Popen needs to become it."""

    uid: int
    gid: int
    name: str
    change: bool  # whether that is somebody else than we are

    def run(self, arguments: list[str], **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments,
            env=plain_environment(),
            cwd="/",
            check=False,
            text=True,
            capture_output=True,
            **self.switch(),  # type: ignore[call-overload]
            **more,
        )

    def switch(self) -> dict[str, object]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.change else {}


def system_account(root: Path) -> Account:
    """Who is to own ``root``, which may be there. Raises EmbeddedError."""
    if os.geteuid() != 0:
        try:
            entry = pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedError(
                f"user {os.geteuid()} has no name in /etc/passwd: give --database-url instead"
            ) from None
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, change=False)
    owner = root.stat().st_uid if root.exists() else 0
    if owner in _OWN:
        return _number(owner)
    kafila, postgres = _named("kafila"), _named("postgres")
    if postgres is not None and owner == postgres.uid:  # made by an earlier version
        return postgres
    return kafila or _number(next(number for number in _OWN if _is_free(number)))


def _named(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid, name, change=True) if entry.pw_uid else None


def _number(number: int) -> Account:
    return Account(number, number, str(number), change=True)


def _is_free(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        try:
            grp.getgrgid(number)
        except KeyError:
            return True
    return False


def with_name(account: Account) -> Account:
    """For initdb, which does nothing for a user without a name: one that has a name, with the group of ``account`` alone.

    Others who run under that name neither pass into a folder of that group nor look into a process that has it.
    """
    if not account.change or not _is_free(account.uid):
        return account
    for entry in pwd.getpwall():
        if entry.pw_uid not in (0, NOBODY):
            return Account(entry.pw_uid, account.gid, entry.pw_name, change=True)
    raise EmbeddedError("PostgreSQL does not run as root, and there is no other user: make one named kafila")


def plain_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def make_root(root: Path, account: Account) -> None:
    """Folders that are missing are created; those above are never changed."""
    if not root.parent.exists():
        root.parent.mkdir(parents=True, mode=0o711)
    if not root.exists():
        root.mkdir(mode=0o700)
        if account.change:
            os.chown(root, account.uid, account.gid)


def own_root(root: Path, account: Account) -> None:
    """The one folder that is the server's. Nobody else uses it now: what an earlier version kept as ``nobody`` is taken over."""
    owner = root.stat().st_uid
    if owner == NOBODY != account.uid and account.change:
        give(root, account)
    elif owner != account.uid:
        raise EmbeddedError(
            f"{root} belongs to user {owner}, but PostgreSQL would run as {account.name} ({account.uid})"
        )
    root.chmod(0o700)
    if account.change and account.run(["/bin/ls", str(root)]).returncode != 0:
        raise EmbeddedError(
            f"{root} cannot be reached by user {account.name}, as whom PostgreSQL runs: choose another --data-dir"
            " or let others pass through the folders above it (chmod o+x)"
        )


def give(folder: Path, account: Account) -> None:
    """All of it to ``account``, the folder first: its owner of before does not get in any more."""
    os.chown(folder, account.uid, account.gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                raise EmbeddedError(f"{path} is also a file elsewhere: remove it")
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
