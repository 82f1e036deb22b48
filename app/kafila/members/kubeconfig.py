"""kubeconfig files: finding a cluster's address and credentials in them, and writing them.

Tokens, certificates and passwords are read here, credential plugins run by :mod:`.execplugin`; the old auth providers are
kubernetes-asyncio's work, which is imported only when a file asks for them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final
from urllib.parse import quote

from kafila.core.files import write_private
from kafila.core.values import Object
from kafila.machinery import yaml
from kafila.machinery.yamlout import dump_text

from .client import MemberClient
from .execplugin import ExecError, ExecPlugin, check, cluster_info
from .login import Credential, CredentialSource
from .transport import TLS, Headers


class KubeconfigError(Exception):
    """The file does not say how to reach a cluster. The message is one line for users."""


@final
@dataclass(slots=True, frozen=True)
class Access:
    """How to reach a cluster: everything a :class:`MemberClient` needs."""

    context: str
    endpoint: str
    tls: TLS
    token: str | CredentialSource
    proxy_url: str = ""
    namespace: str = ""  # that the context names
    impersonation: Headers = ()

    def client(self, name: str = "", *, headers: Headers = (), **options: Any) -> MemberClient:
        """``headers``: also whom to impersonate, which goes before whom the file names."""
        return MemberClient(
            name or self.context,
            self.endpoint,
            tls=self.tls,
            token=self.token,
            proxy_url=self.proxy_url,
            headers=headers or self.impersonation,
            **options,
        )

    def anonymous(self) -> Access:
        """The same server, without credentials."""
        return replace(self, tls=self.tls._replace(certificate=b"", key=b""), token="", impersonation=())


def default_files() -> list[Path]:
    """What kubectl reads: the files in $KUBECONFIG, else ~/.kube/config."""
    listed = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return listed or [Path.home() / ".kube/config"]


def load(file: str | Path = "", context: str = "") -> Access:
    """Access by ``context`` (default: the current one) of a file (default: kubectl's). Raises KubeconfigError."""
    files = [Path(file).expanduser()] if file else default_files()
    config = merged(files)
    return access(config, context, ", ".join(map(str, files)))


def contexts(file: str | Path = "") -> set[str]:
    config = merged([Path(file).expanduser()] if file else default_files())
    return {entry.get("name", "") for entry in config["contexts"]}


def merged(files: Sequence[Path]) -> Object:
    """One document of several files; of entries with one name the first counts. Missing files are left out while one is there."""
    found: Object = {"clusters": [], "contexts": [], "users": [], "current-context": ""}
    read = [document for path in files if (document := _read(path)) is not None]
    if not read:
        raise KubeconfigError(f"kubeconfig {', '.join(map(str, files))} does not exist")
    for document in read:
        found["current-context"] = found["current-context"] or document.get("current-context") or ""
        for section in ("clusters", "contexts", "users"):
            known = {entry["name"] for entry in found[section]}
            found[section] += [e for e in document.get(section) or () if e.get("name", "") not in known]
    return found


def read(path: Path) -> Object | None:
    """As it is written, None where nothing is. Raises KubeconfigError."""
    try:
        document, _ = yaml.load(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"kubeconfig {path} cannot be read: {' '.join(str(error).split())}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise KubeconfigError(f"kubeconfig {path} is no mapping")
    return document


def _read(path: Path) -> Object | None:
    """Files that a document names lie next to it, so their paths are made absolute here."""
    document = read(path)
    if document is None:
        return None
    for section, inner, keys in _FILES:
        for entry in document.get(section) or ():
            values = entry.get(inner) or {}
            for key in keys:
                if values.get(key):
                    values[key] = str(path.parent / values[key])
    for entry in document.get("users") or ():
        plugin = (entry.get("user") or {}).get("exec") or {}
        if os.sep in str(plugin.get("command") or ""):  # else it is looked for in $PATH
            plugin["command"] = str(path.parent.absolute() / plugin["command"])
    return document


_FILES = (
    ("clusters", "cluster", ("certificate-authority",)),
    ("users", "user", ("client-certificate", "client-key", "tokenFile")),
)


def access(config: Object, context: str, origin: str) -> Access:
    """Raises KubeconfigError, naming ``origin``."""
    wanted = context or config["current-context"]
    if not wanted:
        raise KubeconfigError(f"kubeconfig {origin} has no current context; name one")
    chosen = {**_entry(config, "contexts", "context", wanted, origin), "name": wanted}
    cluster = _entry(config, "clusters", "cluster", chosen.get("cluster", ""), origin)
    user = _entry(config, "users", "user", chosen["user"], origin) if chosen.get("user") else {}
    endpoint = (cluster.get("server") or "").rstrip("/")
    if not endpoint:
        raise KubeconfigError(f'kubeconfig {origin}: cluster "{chosen["cluster"]}" has no server')
    return Access(
        context=wanted,
        endpoint=endpoint if "://" in endpoint else f"https://{endpoint}",
        tls=TLS(
            authority=_data(cluster, "certificate-authority", origin),
            certificate=_data(user, "client-certificate", origin),
            key=_data(user, "client-key", origin),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
            server_name=cluster.get("tls-server-name") or "",
        ),
        token=_token(user, cluster, config, chosen, origin),
        proxy_url=cluster.get("proxy-url") or "",
        namespace=chosen.get("namespace") or "",
        impersonation=_impersonation(user, origin),
    )


def _entry(config: Object, section: str, inner: str, name: str, origin: str) -> Object:
    for entry in config[section]:
        if entry.get("name") == name:
            return entry.get(inner) or {}
    raise KubeconfigError(f'kubeconfig {origin}: {inner} "{name}" does not exist')


def _data(values: Object, key: str, origin: str) -> bytes:
    try:
        if inline := values.get(f"{key}-data"):
            return base64.b64decode(inline, validate=False)
        return Path(values[key]).read_bytes() if values.get(key) else b""
    except (binascii.Error, OSError) as error:
        raise KubeconfigError(f"kubeconfig {origin}: {key}: {error}") from None


def _token(user: Object, cluster: Object, config: Object, context: Object, origin: str) -> str | CredentialSource:
    """What goes before what is kubectl's order: a plugin is not run for whom the file has another way to be known."""
    if token := user.get("token"):
        return str(token)
    if path := user.get("tokenFile"):
        return file_token(Path(path))
    if user.get("username"):
        return "Basic " + base64.b64encode(f"{user['username']}:{user.get('password', '')}".encode()).decode()
    if (plugin := user.get("exec")) and user.get("auth-provider"):
        raise KubeconfigError(
            f"kubeconfig {origin}: authProvider cannot be provided in combination with an exec plugin for {context['user']}"
        )
    if plugin and not (user.get("client-certificate") or user.get("client-certificate-data")):
        return _exec_plugin(plugin, cluster, context["user"], origin)
    if user.get("auth-provider"):
        return _AuthProvider(config, context.get("name", ""))
    return ""


def _exec_plugin(plugin: Object, cluster: Object, user: str, origin: str) -> CredentialSource:
    try:
        check(user, plugin)
    except ExecError as error:
        raise KubeconfigError(f"kubeconfig {origin}: {error}") from None
    run = ExecPlugin(plugin, cluster_info(cluster, _data(cluster, "certificate-authority", origin)))

    async def credential(refused: Credential | None) -> Credential:
        try:
            return await run(refused)
        except ExecError as error:
            raise KubeconfigError(f'credentials of user "{user}": {error}') from None

    return credential


def _impersonation(user: Object, origin: str) -> Headers:
    """Raises KubeconfigError, in kubectl's words."""
    name, extra = user.get("as") or "", user.get("as-user-extra") or {}
    groups, uid = user.get("as-groups") or (), user.get("as-uid") or ""
    if not name and (groups or uid or extra):
        raise KubeconfigError(
            f"kubeconfig {origin}: requesting uid, groups or user-extra without impersonating a user (as) is not allowed"
        )
    return impersonation(name, groups, uid) + [
        (f"Impersonate-Extra-{quote(key.lower(), safe='')}", str(value))
        for key in sorted(extra)
        for value in extra[key]
    ]


def impersonation(user: str, groups: Sequence[str] = (), uid: str = "") -> list[tuple[str, str]]:
    """The headers that ask to be treated as somebody else."""
    pairs = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups), ("Impersonate-Uid", uid)]
    return [(name, value) for name, value in pairs if value]


def file_token(path: Path) -> CredentialSource:
    async def read(refused: Credential | None) -> Credential:  # such files are renewed under us
        try:
            return Credential((await asyncio.to_thread(path.read_text)).strip())
        except OSError as error:
            raise KubeconfigError(f"token file {path}: {error.strerror}") from None

    return read


@final
class _AuthProvider:
    """A token from an auth provider, kept until it expires or is refused."""

    def __init__(self, config: Object, context: str) -> None:
        self._config = config
        self._context = context
        self._loader: Any = None

    async def __call__(self, refused: Credential | None) -> Credential:
        from kubernetes_asyncio.config import ConfigException
        from kubernetes_asyncio.config.kube_config import KubeConfigLoader

        if self._loader is None or refused is not None:
            self._loader = KubeConfigLoader(self._config, active_context=self._context)
        try:
            await self._loader._load_authentication()
        except (ConfigException, OSError, ValueError) as error:
            raise KubeconfigError(f'credentials of context "{self._context}": {error}') from None
        if not getattr(self._loader, "token", ""):
            raise KubeconfigError(f'the auth provider of context "{self._context}" gave no token')
        return Credential(self._loader.token)


def document(name: str, endpoint: str, authority: bytes = b"", *, tls: TLS | None = None, token: str = "") -> Object:
    """A kubeconfig with one context called ``name``; its user has the certificate of ``tls`` or the token."""
    cluster: Object = {"server": endpoint}
    if authority:
        cluster["certificate-authority-data"] = _b64(authority)
    elif tls is not None and tls.insecure:
        cluster["insecure-skip-tls-verify"] = True
    user: Object = {"token": token} if token else {}
    if tls is not None and tls.certificate:
        user |= {"client-certificate-data": _b64(tls.certificate), "client-key-data": _b64(tls.key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": user}],
        "current-context": name,
    }


def with_certificate(path: Path, context: str, tls: TLS) -> Object:
    """The file with another certificate of the user of a context (default: the current one), and another CA where there is one.
    Raises KubeconfigError."""
    config = _read(path) or {}
    wanted = context or config.get("current-context") or ""
    if tls.authority:
        cluster = _entry(config, "contexts", "context", wanted, str(path)).get("cluster", "")
        server = _entry(config, "clusters", "cluster", cluster, str(path))
        server.pop("certificate-authority", None)
        server["certificate-authority-data"] = _b64(tls.authority)
    user = _entry(config, "contexts", "context", wanted, str(path)).get("user", "")
    values = _entry(config, "users", "user", user, str(path))
    for name in ("client-certificate", "client-key"):
        values.pop(name, None)
    values |= {"client-certificate-data": _b64(tls.certificate), "client-key-data": _b64(tls.key)}
    return config


def write(path: Path, config: Object) -> None:
    write_private(path, dump_text(config).encode())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
