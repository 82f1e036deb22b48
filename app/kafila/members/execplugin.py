"""Credential plugins of a kubeconfig (``users[].user.exec``), run as client-go runs them.

A plugin gets an ``ExecCredential`` in ``KUBERNETES_EXEC_INFO`` and answers with one on its standard output, which has a token, a client
certificate with its key, or both. Its standard error is the user's. It has limits: seconds, and bytes that it may answer.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, final

import orjson

from kafila.core.clock import parse_rfc3339
from kafila.core.values import Object
from kafila.machinery import yaml

from .login import Credential

GROUP: Final = "client.authentication.k8s.io"
EXTENSION: Final = f"{GROUP}/exec"  # of a cluster: what is handed to the plugin as its ``config``
VERSIONS: Final = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
MODES: Final = ("Never", "IfAvailable", "Always")
LONGEST_RUN: Final = 300.0  # seconds: some wait for a login in a browser
LONGEST_ANSWER: Final = 1 << 20  # bytes
LONGEST_SAID: Final = 512  # characters of standard error in our message
PATIENT: Final = 5.0  # seconds until the user is told what we wait for
INFO: Final = "KUBERNETES_EXEC_INFO"
OURS: Final = "KAFILA_"  # begins the names of our settings, passwords among them: no plugin gets them


class ExecError(Exception):
    """Why a plugin gives no credential, in client-go's words; one line."""


def check(user: str, plugin: Object) -> None:
    """Raises ExecError for what kubectl refuses before it runs anything."""
    for needed in ("command", "apiVersion"):
        if not plugin.get(needed):
            raise ExecError(f"{needed} must be specified for {user} to use exec authentication plugin")
    if plugin["apiVersion"] not in VERSIONS:
        raise ExecError(f'exec plugin: invalid apiVersion "{plugin["apiVersion"]}"')
    for variable in plugin.get("env") or ():
        if not variable.get("name"):
            raise ExecError(f"env variable name must be specified for {user} to use exec authentication plugin")
    if not (mode := _mode(plugin)):
        raise ExecError(f"interactiveMode must be specified for {user} to use exec authentication plugin")
    if mode not in MODES:
        raise ExecError(f'invalid interactiveMode for {user}: "{mode}"')


def _mode(plugin: Object) -> str:
    return plugin.get("interactiveMode") or ("" if plugin.get("apiVersion") == VERSIONS[0] else "IfAvailable")


def cluster_info(cluster: Object, authority: bytes) -> Object:
    """A kubeconfig's cluster as plugins are told of it."""
    found = {
        "server": cluster.get("server"),
        "tls-server-name": cluster.get("tls-server-name"),
        "insecure-skip-tls-verify": cluster.get("insecure-skip-tls-verify"),
        "certificate-authority-data": base64.b64encode(authority).decode(),
        "proxy-url": cluster.get("proxy-url"),
        "disable-compression": cluster.get("disable-compression"),
    }
    given = [e.get("extension") for e in cluster.get("extensions") or () if e.get("name") == EXTENSION]
    return {**{name: value for name, value in found.items() if value}, "config": given[0] if given else None}


@final
class ExecPlugin:
    """A source of credentials: what the plugin answered last, until that expires or is refused."""

    def __init__(
        self,
        plugin: Object,
        cluster: Object,
        *,
        limit: float = LONGEST_RUN,
        most: int = LONGEST_ANSWER,
        terminal: bool | None = None,
    ) -> None:
        """``plugin`` is checked; ``cluster``: see ``cluster_info``; ``terminal``: whether somebody can be asked (default: look)."""
        self._plugin = plugin
        self._cluster = cluster
        self._limit = limit
        self._most = most
        self._terminal = terminal
        self._last: Credential | None = None
        self._expires: float | None = None
        self._running = asyncio.Lock()  # one that asks the user must not do so twice

    async def __call__(self, refused: Credential | None = None) -> Credential:
        """Raises ExecError."""
        async with self._running:
            expired = self._expires is not None and time.time() > self._expires
            if self._last is None or expired or self._last is refused:
                self._last, self._expires = self._read(await self._run())
            return self._last

    # -- running it ----------------------------------------------------------------------------------------------------

    async def _run(self) -> bytes:
        interactive = self._is_interactive()
        command = self._plugin["command"]
        found = shutil.which(command)
        if found is None:
            hint = " ".join(str(self._plugin.get("installHint") or "").split())
            raise ExecError(f"exec: executable {command} not found" + (f": {hint}" if hint else ""))
        try:
            process = await asyncio.create_subprocess_exec(
                found,
                *map(str, self._plugin.get("args") or ()),
                env=self._environment(interactive),
                stdin=None if interactive else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=None if interactive else asyncio.subprocess.PIPE,
                process_group=None if interactive else 0,  # who reads from the terminal has to stay in its group
            )
        except (OSError, ValueError) as error:
            raise ExecError(f"exec: {error}") from None
        said = _Said()
        telling = asyncio.create_task(self._tell_what_is_waited_for(command))
        try:
            async with asyncio.timeout(self._limit):
                answer, _ = await asyncio.gather(self._answer(process), said.pass_on(process.stderr))
                code = await process.wait()
        except TimeoutError:
            raise ExecError(f"exec: executable {command} did not answer within {self._limit:g}s") from None
        finally:
            telling.cancel()
            await _end(process, interactive)
        if code:
            raise ExecError(f"exec: executable {command} failed with exit code {code}{said.last}")
        return answer

    def _is_interactive(self) -> bool:
        mode = _mode(self._plugin)
        terminal = sys.stdin is not None and sys.stdin.isatty() if self._terminal is None else self._terminal
        if mode == "Always" and not terminal:
            raise ExecError("exec plugin cannot support interactive mode: standard input is not a terminal")
        return terminal and mode != "Never"

    def _environment(self, interactive: bool) -> Mapping[str, str]:
        spec: Object = {"interactive": interactive}
        if self._plugin.get("provideClusterInfo"):
            spec["cluster"] = self._cluster
        info = {"kind": "ExecCredential", "apiVersion": self._plugin["apiVersion"], "spec": spec}
        given = {str(v["name"]): str(v.get("value") or "") for v in self._plugin.get("env") or ()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {**inherited, **given, INFO: orjson.dumps(info).decode()}

    async def _answer(self, process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None
        answer = bytearray()
        while piece := await process.stdout.read(1 << 16):
            answer += piece
            if len(answer) > self._most:
                raise ExecError(f"exec: executable {self._plugin['command']} answered more than {self._most} bytes")
        return bytes(answer)

    async def _tell_what_is_waited_for(self, command: str) -> None:
        await asyncio.sleep(PATIENT)
        print(f"Waiting for the credential plugin {os.path.basename(command)}", file=sys.stderr, flush=True)

    # -- its answer ----------------------------------------------------------------------------------------------------

    def _read(self, answer: bytes) -> tuple[Credential, float | None]:
        found = _document(answer)
        wanted = self._plugin["apiVersion"]
        if found.get("kind") != "ExecCredential" or found.get("apiVersion") != wanted:
            version = str(found.get("apiVersion"))[:LONGEST_SAID]
            raise ExecError(f"exec plugin is configured to use API version {wanted}, plugin returned version {version}")
        status = found.get("status")
        if not isinstance(status, dict):
            raise ExecError("exec plugin didn't return a status field")
        token, certificate, key = (_text(status, name) for name in ("token", "clientCertificateData", "clientKeyData"))
        if not (token or certificate or key):
            raise ExecError("exec plugin didn't return a token or cert/key pair")
        if bool(certificate) != bool(key):
            raise ExecError("exec plugin returned only certificate or key, not both")
        header = f"Bearer {token}" if token else ""
        return Credential(header, certificate.encode(), key.encode()), _expiry(status)


def _document(answer: bytes) -> dict[str, Any]:
    try:
        found, _ = yaml.load(answer)
    except (ValueError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        raise ExecError("decoding stdout: it is no ExecCredential")
    return found


def _text(status: dict[str, Any], name: str) -> str:
    value = status.get(name) or ""
    if not isinstance(value, str) or (not value.isprintable() and name == "token"):
        raise ExecError(f"decoding stdout: status.{name} is no text")
    return value


def _expiry(status: dict[str, Any]) -> float | None:
    if not (stamp := status.get("expirationTimestamp")):
        return None
    try:
        return parse_rfc3339(stamp)
    except (TypeError, ValueError):
        raise ExecError("decoding stdout: status.expirationTimestamp is no time") from None


class _Said:
    """What a plugin says on standard error: shown to the user as it comes, the last line kept for our message."""

    def __init__(self) -> None:
        self._kept = b""

    async def pass_on(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (piece := await stream.read(1 << 14)):
            sys.stderr.write(piece.decode(errors="replace"))
            sys.stderr.flush()
            self._kept = (self._kept + piece)[-4 * LONGEST_SAID :]

    @property
    def last(self) -> str:
        lines = [line for line in self._kept.decode(errors="replace").splitlines() if line.strip()]
        return f": {' '.join(lines[-1].split())[-LONGEST_SAID:]}" if lines else ""


async def _end(process: asyncio.subprocess.Process, interactive: bool) -> None:
    """Nothing of it goes on, whatever it started."""
    with suppress(ProcessLookupError):
        if interactive:
            if process.returncode is None:
                process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
