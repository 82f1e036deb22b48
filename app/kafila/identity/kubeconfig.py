"""The kubeconfig that `serve` writes for its administrator."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import yaml

from .certificates import KeyPair

CONTEXT = "karmada-apiserver"


def write_kubeconfig(path: Path, server: str, authority: bytes, client: KeyPair) -> None:
    """Writes atomically, readable by the owner alone."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": _b64(authority)}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "users": [
            {
                "name": CONTEXT,
                "user": {"client-certificate-data": _b64(client.certificate), "client-key-data": _b64(client.key)},
            }
        ],
    }
    write_private(path, yaml.safe_dump(document, sort_keys=False).encode())


def write_private(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.rename(path)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
