"""``kafila encrypt rewrite`` and ``forget``: what is stored is encrypted anew, or given up, beside the processes that serve it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from . import CommandError, UsageError
from .flags import DatabaseURL, DataDir, Output, check_output

if TYPE_CHECKING:
    from kafila.core.resources import Key
    from kafila.encryption.encryption import Encryption
    from kafila.settings.settings import Settings
    from kafila.store.rewriting import Report

_PERIOD: Final = 1.0  # seconds between two lines of progress
_HEADERS: Final = ("WHERE", "KEY", "BODIES")


Config = Annotated[
    str, Parameter(help="The file that kafila serve was given (default: KAFILA_ENCRYPTION_PROVIDER_CONFIG).")
]


def rewrite(
    *,
    encryption_provider_config: Config = "",
    database_url: DatabaseURL = "",
    data_dir: DataDir = None,
    rate: Annotated[float, Parameter(help="Bodies a second at most.")] = 1000.0,
    check: Annotated[bool, Parameter(help="Only say how many lie under which key.")] = False,
    output: Output = "",
) -> int:
    """Encrypt everything that is stored with the first key of the first provider. No object changes, and nobody is told.

    It may run beside kafila serve, and again after it was stopped.
    """
    check_output(output, "json")
    if not 0 < rate <= 1e6:
        raise UsageError(f"invalid value '{rate:g}' for --rate: must be more than 0 and at most 1000000")
    settings = _settings(encryption_provider_config, database_url, data_dir)
    report = asyncio.run(_rewrite(settings, rate, check, _progress(check)))
    print(_json(report) if output else _text(report, check))
    return 1 if report.unreadable or (report.stale and not check) else 0


def forget(
    resource: Annotated[str, Parameter(name="RESOURCE", help="As in its error, e.g. secrets or deployments.apps.")],
    name: Annotated[str, Parameter(name="NAME", help="NAMESPACE/NAME, or NAME where there is no namespace.")],
    /,
    *,
    encryption_provider_config: Config = "",
    database_url: DatabaseURL = "",
    data_dir: DataDir = None,
) -> None:
    """Remove an object that cannot be decrypted with this file. Controllers then take it for deleted, and delete its copies in members."""
    from kafila.core.resources import Key

    settings = _settings(encryption_provider_config, database_url, data_dir)
    namespace, _, own = name.rpartition("/")
    asyncio.run(_forget(settings, Key(resource, namespace, own)))
    print(f"{resource} {name} forgotten")


def _settings(config: str, database_url: str, data_dir: Path | None) -> Settings:
    """Raises UsageError."""
    from .starting import check_files, settings_of

    given: dict[str, Any] = {"encryption_provider_config": config, "database_url": database_url}
    if data_dir is not None:
        given["data_dir"] = data_dir
    settings = settings_of({name: value for name, value in given.items() if value})
    if not settings.encryption_provider_config:
        raise UsageError("--encryption-provider-config is needed: which keys there are")
    check_files(settings)
    return settings


async def _rewrite(settings: Settings, rate: float, check: bool, progress: Callable[[Report], None]) -> Report:
    from kafila.store.rewriting import AlreadyRunning, rewriting

    async with _opened(settings) as (dsn, encryption):
        try:
            async with rewriting(dsn, encryption, rate) as work:
                return await work.run(check, progress)
        except AlreadyRunning:
            raise CommandError("another kafila encrypt rewrite is at work in this database") from None


async def _forget(settings: Settings, key: Key) -> None:
    from kafila.store.postgres import PostgresStore
    from kafila.store.reaching import KeptBack, forget_unreadable

    async with _opened(settings) as (dsn, encryption):
        store = PostgresStore(dsn, sealer=encryption)
        await store.open()
        try:
            await forget_unreadable(store, key)
        except KeptBack as error:
            raise CommandError(f"{key.resource} {key.namespace and key.namespace + '/'}{key.name}: {error}") from None
        finally:
            await store.close()


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[str, Encryption]]:
    """The database and its keys. Raises CommandError, also for what goes wrong inside."""
    from kafila.store.connect import DatabaseError
    from kafila.store.interface import StoreUnavailable
    from kafila.store.sealing import CannotSeal, KeysNeeded
    from kafila.workers.encryption import AtRest

    at_rest = AtRest(settings)
    try:
        await at_rest.start()
        async with _database(settings) as dsn:
            yield dsn, at_rest.encryption
    except KeysNeeded as error:
        raise CommandError(f"--encryption-provider-config {settings.encryption_provider_config}: {error}") from None
    except CannotSeal as error:
        raise CommandError(f"stopped, and can be started again: {error}") from None
    except (OSError, TimeoutError, DatabaseError, StoreUnavailable) as error:
        raise CommandError(f"the database: {' '.join(str(error).split()) or type(error).__name__}") from None
    finally:
        await at_rest.encryption.close()


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    """Raises CommandError."""
    from kafila.store.accounts import EmbeddedError
    from kafila.store.migrate import HEAD, MigrationError, current
    from kafila.store.reaching import reached

    try:
        async with reached(settings.database_url, settings.data_dir) as dsn:
            found = await current(dsn)
            if found != HEAD:
                what = f"has the schema {found}" if found else "is empty"
                raise CommandError(f"the database {what}, and this kafila needs {HEAD}: start kafila serve first")
            yield dsn
    except MigrationError as error:
        raise CommandError(str(error)) from None
    except EmbeddedError as error:
        raise CommandError(f"--data-dir {settings.data_dir}: {' '.join(str(error).split())}") from None


def _progress(check: bool) -> Callable[[Report], None]:
    """One line on a terminal, which is written over; else nothing."""
    told = 0.0

    def tell(report: Report) -> None:
        nonlocal told
        if not sys.stderr.isatty() or time.monotonic() - told < _PERIOD:
            return
        told = time.monotonic()
        done = "" if check else f", {report.rewritten} rewritten"
        print(f"\r{report.seen} bodies looked at{done} ", end="", file=sys.stderr, flush=True)

    return tell


def _json(report: Report) -> str:
    import orjson

    keys = [{"table": table, "key": key, "bodies": count} for (table, key), count in sorted(report.keys.items())]
    found = {
        "rewritten": report.rewritten,
        "stale": report.stale,
        "unreadable": report.unreadable,
        "unopened": [each._asdict() for each in report.unopened],
        "keys": keys,
    }
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()


def _text(report: Report, check: bool) -> str:
    from .certs import table

    lines = []
    if check:
        rows = [(where, key, str(count)) for (where, key), count in sorted(report.keys.items())]
        left = f"{report.stale} are not under the key that is written with."
        lines += [table([_HEADERS, *rows]), left if report.stale else "All of them are as they would be written now."]
    else:
        lines.append(f"{report.rewritten} bodies rewritten.")
        if report.stale:
            lines.append(
                f"{report.stale} were written under another key meanwhile: some process has another configuration."
            )
    if report.unreadable:
        lines.append(f"{report.unreadable} cannot be decrypted, and were left as they are:")
        lines += [f"  {each.where}: {each.reason}" for each in report.unopened]
    return "\n".join(lines)
