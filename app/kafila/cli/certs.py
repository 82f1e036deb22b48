"""``kafila certs list`` and ``kafila certs renew``: over the data folder of the ``kafila serve`` whose certificates they are."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from . import CommandError, UsageError
from .asking import ask
from .flags import Output, check_output

if TYPE_CHECKING:
    from cryptography.x509 import Name

DataDir = Annotated[
    Path | None, Parameter(help="The folder that kafila serve was given (default: KAFILA_DATA_DIR, or .data).")
]
RENEWABLE: Final = ("apiserver", "admin")
_COLUMNS: Final = ("name", "subject", "issuer", "expiresIn", "usedBy")
_HEADERS: Final = ("NAME", "SUBJECT", "ISSUER", "EXPIRES IN", "USED BY")


def list_certificates(
    *,
    data_dir: DataDir = None,
    output: Output = "",
) -> None:
    """List the certificates that a kafila serve uses: whom they name, who signed them, when they end."""
    check_output(output, "json")
    rows = [described(each, time.time()) for each in _record(folder_of(data_dir))]
    if output == "json":
        import orjson

        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    print(table([_HEADERS, *([row[column] for column in _COLUMNS] for row in rows)]))


def renew(
    *names: Annotated[str, Parameter(name="NAME", help="apiserver or admin; without a name both.")],
    data_dir: DataDir = None,
) -> None:
    """Have a running kafila serve renew its own serving certificate (apiserver) and that of its kubeconfig (admin)."""
    wanted = list(dict.fromkeys(names or RENEWABLE))
    for name in wanted:
        if name not in RENEWABLE:
            raise UsageError(f"{name!r} is no certificate that is renewed here: must be some of {', '.join(RENEWABLE)}")
    folder = folder_of(data_dir)
    before = _certificates(folder)
    ask(
        folder / "renew",
        " ".join(wanted).encode(),
        lambda: all(_certificates(folder).get(name) != before.get(name) for name in wanted),
        "not renewed",
        "which issues them at its start, or its log says what is wrong",
    )
    for name in wanted:
        print(f"{name} renewed")


def folder_of(data_dir: Path | None) -> Path:
    from kafila.settings.settings import Settings

    given = os.environ.get("KAFILA_DATA_DIR") or Settings.model_fields["data_dir"].default
    return (data_dir or Path(given)) / "pki"


def _record(folder: Path) -> list[dict[str, Any]]:
    """Name, usedBy and certificate of each, as kafila serve has written them. Raises CommandError."""
    import orjson

    file = folder / "certificates.json"
    try:
        found: list[dict[str, Any]] = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        raise CommandError(
            f"--data-dir {folder.parent} is no folder of a kafila serve: {file} does not exist"
        ) from None
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{file} is not what kafila serve writes: {error}") from None
    return found


def _certificates(folder: Path) -> dict[str, str]:
    return {each["name"]: each["certificate"] for each in _record(folder)}


def described(each: dict[str, Any], now: float) -> dict[str, Any]:
    """What is shown of an entry of the record. It ends when the first of its chain does."""
    from cryptography import x509

    from kafila.core.clock import human_duration, rfc3339
    from kafila.identity.serving import ends

    pem = each["certificate"].encode()
    leaf = x509.load_pem_x509_certificates(pem)[0]
    at = ends(pem).timestamp()
    return {
        "name": each["name"],
        "subject": _name(leaf.subject),
        "issuer": _name(leaf.issuer),
        "expires": rfc3339(at),
        "expiresIn": human_duration(at - now) if at > now else "<expired>",
        "serialNumber": f"{leaf.serial_number:x}",
        "usedBy": each["usedBy"],
    }


def _name(name: Name) -> str:
    return name.rfc4514_string() or "<none>"


def table(rows: Sequence[Sequence[str]]) -> str:
    """As kubectl prints: columns three spaces apart, the last one as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
