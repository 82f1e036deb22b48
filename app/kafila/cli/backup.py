"""``kafila backup`` and ``kafila restore``: all that a control plane has stored, in one file."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from . import CommandError
from .flags import DatabaseURL, DataDir

if TYPE_CHECKING:
    from kafila.settings.settings import Settings
    from kafila.store.backup import Summary

T = TypeVar("T")


def backup(
    file: Annotated[
        Path, Parameter(name="FILE", help="Is written when all of it is there, and then replaces what it was.")
    ],
    /,
    *,
    database_url: DatabaseURL = "",
    data_dir: DataDir = None,
) -> None:
    """Write everything that is stored into one file, as it is at one moment. Keep it as safe as the database: it holds Secrets.

    It may run beside kafila serve.
    """
    if file.is_dir():
        raise CommandError(f"{file} is a folder: name a file in it")
    found = _done(_back_up(_settings(database_url, data_dir), file.absolute()))
    size = file.stat().st_size
    print(f"{file}: {found.objects} objects at revision {found.revision}, schema {found.schema}, {size / 1e6:.1f} MB")


def restore(
    file: Annotated[Path, Parameter(name="FILE", help="What kafila backup wrote.")],
    /,
    *,
    database_url: DatabaseURL = "",
    data_dir: DataDir = None,
) -> None:
    """Make a database from a backup: in a folder that has none, or in an empty database. Start kafila serve with it afterwards."""
    if not file.is_file():
        raise CommandError(f"{file}: there is no such file")
    found = _done(_restore(_settings(database_url, data_dir), file))
    print(f"{found.objects} objects restored, schema {found.schema}; revisions go on from {found.revision}")


def _settings(database_url: str, data_dir: Path | None) -> Settings:
    """Raises UsageError."""
    from .starting import settings_of

    given: dict[str, Any] = {"database_url": database_url, "data_dir": data_dir}
    return settings_of({name: value for name, value in given.items() if value})


def _done(work: Coroutine[Any, Any, T]) -> T:
    """Raises CommandError."""
    from kafila.store.accounts import EmbeddedError
    from kafila.store.backup import BackupError

    try:
        return asyncio.run(work)
    except (BackupError, EmbeddedError) as error:
        raise CommandError(" ".join(str(error).split())) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None


async def _back_up(settings: Settings, file: Path) -> Summary:
    from kafila.store.backup import back_up
    from kafila.store.reaching import reached

    async with reached(settings.database_url, settings.data_dir) as dsn:
        return await back_up(dsn, file)


async def _restore(settings: Settings, file: Path) -> Summary:
    from kafila.store.backup import restore, schema_of
    from kafila.store.embedded import EmbeddedPostgres
    from kafila.store.migrate import HEAD

    schema = await schema_of(file)
    if schema > HEAD:
        raise CommandError(
            f"{file} was written by a newer kafila (schema {schema}, this one has {HEAD}): use that version"
        )
    if settings.database_url:
        return await restore(settings.database_url, file)
    if (EmbeddedPostgres(settings.data_dir).root / "data").exists():
        raise CommandError(f"--data-dir {settings.data_dir} has a database: move the folder away, or name another one")
    async with EmbeddedPostgres(settings.data_dir) as dsn:
        return await restore(dsn, file)
