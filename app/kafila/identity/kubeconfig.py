"""The kubeconfig of a control plane's administrator."""

from __future__ import annotations

import base64
from pathlib import Path

from kafila.core.files import write_private
from kafila.machinery.yamlout import dump_text

from .certificates import KeyPair

CONTEXT = "karmada-apiserver"


def write_kubeconfig(path: Path, server: str, authority: bytes, client: KeyPair, server_name: str = "") -> None:
    """Writes atomically, readable by the owner alone."""
    write_private(path, kubeconfig(server, authority, client, server_name))


def kubeconfig(server: str, authority: bytes, client: KeyPair, server_name: str = "") -> bytes:
    """``server_name``: what the server is asked for, and its certificate must have, where that is not its address."""
    cluster = {"server": server, "certificate-authority-data": _b64(authority)}
    if server_name:
        cluster["tls-server-name"] = server_name
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "users": [
            {
                "name": CONTEXT,
                "user": {"client-certificate-data": _b64(client.certificate), "client-key-data": _b64(client.key)},
            }
        ],
    }
    return dump_text(document).encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
