"""``token create``, ``token list`` and ``token delete``: bootstrap tokens, with karmadactl's flags."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from . import CommandError, UsageError
from .durations import duration
from .flags import KarmadaContext, Kubeconfig
from .membership import access, run

if TYPE_CHECKING:
    from kafila.core.bootstrap_tokens import BootstrapToken
    from kafila.members.client import MemberClient
    from kafila.members.kubeconfig import Access

_ALPHABET: Final = string.ascii_lowercase + string.digits
_HEADERS: Final = ("TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS")


def create(
    *,
    print_register_command: Annotated[
        bool, Parameter(help="Print the command that registers a cluster with it.")
    ] = False,
    ttl: Annotated[str, Parameter(help="For how long it can be used, as 1h30m; 0 for ever.")] = "24h",
    usages: Annotated[
        list[str] | None, Parameter(help="signing, authentication: what it is for (default: both).")
    ] = None,
    groups: Annotated[list[str] | None, Parameter(help="Groups of who uses it (default: those who register).")] = None,
    description: Annotated[str, Parameter(help="What it is for, for people.")] = "",
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Create a bootstrap token, with which a cluster registers in Pull mode."""
    from kafila.core import bootstrap_tokens as tokens
    from kafila.core.agents import BOOTSTRAPPERS
    from kafila.core.clock import rfc3339

    wanted = _listed(usages) or list(tokens.USAGES)
    extra = _listed(groups) if groups is not None else [BOOTSTRAPPERS]
    for usage in wanted:
        if usage not in tokens.USAGES:
            raise UsageError(f'invalid --usages "{usage}": must be some of {", ".join(tokens.USAGES)}')
    for group in extra:
        if tokens.EXTRA_GROUP.fullmatch(group) is None:
            raise UsageError(f'invalid --groups "{group}": must begin with system:bootstrappers:')
    seconds = 0.0 if ttl in ("0", "0s") else duration(ttl, "--ttl")
    expires = rfc3339(time.time() + seconds) if seconds else ""
    token = tokens.BootstrapToken(_drawn(6), _drawn(16), frozenset(wanted), tuple(extra), expires, description)
    control_plane = access(kubeconfig, karmada_context)
    line = _command(control_plane, token.text) if print_register_command else token.text

    async def create_token(plane: MemberClient) -> None:
        from kafila.members.client import resource_path

        await plane.create(resource_path("v1", "secrets", tokens.NAMESPACE), tokens.secret_of(token))
        print(line)

    _asked(control_plane, create_token)


def list_tokens(*, kubeconfig: Kubeconfig = "", karmada_context: KarmadaContext = "") -> None:
    """List the bootstrap tokens."""
    from .certs import table

    async def list_them(plane: MemberClient) -> None:
        from kafila.core import bootstrap_tokens as tokens
        from kafila.members.client import resource_path

        query = {"fieldSelector": f"type={tokens.TYPE}"}
        found, _ = await plane.list(resource_path("v1", "secrets", tokens.NAMESPACE), query=query)
        rows = [_row(token) for secret in found if (token := tokens.read(secret)) is not None]
        print(table([_HEADERS, *rows]))

    _asked(access(kubeconfig, karmada_context), list_them)


def delete(
    *names: Annotated[str, Parameter(name="TOKEN", help="A token, or its id: what stands before the point.")],
    kubeconfig: Kubeconfig = "",
    karmada_context: KarmadaContext = "",
) -> None:
    """Delete bootstrap tokens: nobody registers with them any more."""
    from kafila.core import bootstrap_tokens as tokens

    if not names:
        raise UsageError("name a token, or its id")
    identifiers = []
    for name in names:
        if tokens.IDENTIFIER.fullmatch(name) is None and tokens.TOKEN.fullmatch(name) is None:
            raise UsageError(f'"{name}" is no token: "[a-z0-9]{{6}}.[a-z0-9]{{16}}", or its first six characters')
        identifiers.append(name[:6])

    async def delete_them(plane: MemberClient) -> None:
        from kafila.members.client import resource_path

        for identifier in identifiers:
            path = resource_path("v1", "secrets", tokens.NAMESPACE, tokens.PREFIX + identifier)
            if await plane.find(path) is None:
                raise CommandError(f'there is no bootstrap token "{identifier}"')
            await plane.delete(path)
            print(f'bootstrap token "{identifier}" deleted')

    _asked(access(kubeconfig, karmada_context), delete_them)


def _asked(control_plane: Access, work: Callable[[MemberClient], Awaitable[None]]) -> None:
    run(control_plane, None, lambda plane, _: work(plane))


def _command(control_plane: Access, token: str) -> str:
    """Raises CommandError."""
    from cryptography import x509

    from kafila.members.register import pin_of

    try:
        pins = [pin_of(each) for each in x509.load_pem_x509_certificates(control_plane.tls.authority)]
    except ValueError:
        raise CommandError(
            "the kubeconfig names no CA of the control plane: there is nothing to check it with"
        ) from None
    where = control_plane.endpoint.removeprefix("https://")
    return f"kafila register {where} --token {token} --discovery-token-ca-cert-hash {','.join(pins)}"


def _row(token: BootstrapToken) -> tuple[str, ...]:
    from kafila.core.clock import human_duration

    ends = token.expires()
    left = "<forever>" if ends is None else human_duration(max(ends - time.time(), 0))
    usages, groups = ",".join(sorted(token.usages)), ",".join(token.groups)
    return (
        token.text,
        left,
        token.expiration or "<never>",
        usages or "<none>",
        token.description or "<none>",
        groups or "<none>",
    )


def _drawn(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def _listed(given: list[str] | None) -> list[str]:
    return [part for text in given or () for part in text.split(",") if part]
