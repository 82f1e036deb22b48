"""The system user that an embedded PostgreSQL runs as, and the folder that belongs to it."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from pathlib import Path


class EmbeddedError(RuntimeError):
    """The embedded PostgreSQL cannot run; the text says why and what to do."""


class Account:
    """The system user the server runs as; ``switch`` is what Popen needs to become it."""

    def __init__(self, entry: pwd.struct_passwd, change: bool) -> None:
        self.uid, self.gid, self.name = entry.pw_uid, entry.pw_gid, entry.pw_name
        self.change = change

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


def system_account() -> Account:
    if os.geteuid() != 0:
        try:
            return Account(pwd.getpwuid(os.geteuid()), change=False)
        except KeyError:
            raise EmbeddedError(
                f"user {os.geteuid()} has no name in /etc/passwd: give --database-url instead"
            ) from None
    for name in ("kafila", "postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(entry, change=True)
    raise EmbeddedError("PostgreSQL does not run as root, and there is no user kafila, postgres or nobody to run it as")


def plain_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def make_root(root: Path, account: Account) -> None:
    """The one folder that is the server's. Folders above are created when missing, and never changed."""
    if not root.parent.exists():
        root.parent.mkdir(parents=True, mode=0o711)
    if not root.exists():
        root.mkdir(mode=0o700)
        if account.change:
            os.chown(root, account.uid, account.gid)
    found = root.stat()
    if found.st_uid != account.uid:
        owner = found.st_uid
        raise EmbeddedError(
            f"{root} belongs to user {owner}, but PostgreSQL would run as {account.name} ({account.uid})"
        )
    root.chmod(0o700)
    if account.change and account.run(["/bin/ls", str(root)]).returncode != 0:
        raise EmbeddedError(
            f"{root} cannot be reached by user {account.name}, as whom PostgreSQL runs: choose another --data-dir"
            " or let others pass through the folders above it (chmod o+x)"
        )
