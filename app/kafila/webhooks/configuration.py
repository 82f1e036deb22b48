"""The file of ``--admission-control-config-file``: as whom admission webhooks are asked. Read strictly, as every such file."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from kafila.core.values import Object
from kafila.machinery.configuration import ConfigurationError, Node, read
from kafila.members.kubeconfig import merged

from .identity import Identities, Identity, identity_of

GROUPS: Final = ("apiserver.config.k8s.io/v1",)
PLUGINS: Final = ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook")
LARGEST: Final = 1 << 20  # bytes of a file


class Known(NamedTuple):
    mutating: Identities
    validating: Identities


NONE: Final = Known(Identities(), Identities())


def read_identities(file: Path) -> Known:
    """Raises OSError, ConfigurationError with the line of what is wrong, KubeconfigError."""
    root = read(_content(file))
    fields = _typed(root, "AdmissionConfiguration", "plugins")
    found: dict[str, Identities] = {}
    for item in fields["plugins"].items() if "plugins" in fields else ():
        given = item.fields("name", "path", "configuration")
        if "name" not in given:
            raise item.error("needs a name")
        name = given["name"].text()
        if name not in PLUGINS:
            raise given["name"].error(f"must be one of {', '.join(PLUGINS)}: no other plugin has a configuration here")
        if name in found:
            raise given["name"].error("stands here a second time")
        found[name] = _identities(item, given, file)
    return Known(*(found.get(name, Identities()) for name in PLUGINS))


def _identities(item: Node, given: dict[str, Node], file: Path) -> Identities:
    if ("path" in given) == ("configuration" in given):
        raise item.error("needs either path or configuration")
    node = given.get("configuration")
    if node is None:
        path = file.parent / given["path"].text()
        try:
            node = read(_content(path))
        except OSError as error:
            raise given["path"].error(f"cannot be read: {error.strerror}") from None
    fields = _typed(node, "WebhookAdmissionConfiguration", "kubeConfigFile")
    if "kubeConfigFile" not in fields:
        raise node.error("needs kubeConfigFile")
    kubeconfig = Path(fields["kubeConfigFile"].text())
    if not kubeconfig.is_absolute():
        raise fields["kubeConfigFile"].error("must be an absolute file path")
    return identities_of(merged([kubeconfig]), fields["kubeConfigFile"])


def identities_of(config: Object, node: Node) -> Identities:
    """``node``: where the file is named, for errors."""
    contexts = {each.get("name"): (each.get("context") or {}).get("user") or "" for each in config["contexts"]}
    users: dict[str, Identity] = {}
    for each in config["users"]:
        try:
            users[each.get("name") or ""] = identity_of(each.get("user") or {})
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise node.error(f'user "{each.get("name")}": {why}') from None
    return Identities(users, contexts.get(config["current-context"], ""))


def _typed(node: Node, kind: str, *fields: str) -> dict[str, Node]:
    found = node.fields("apiVersion", "kind", *fields)
    for name, wanted in (("apiVersion", GROUPS), ("kind", (kind,))):
        if name not in found or found[name].text() not in wanted:
            raise found.get(name, node).error(f"{name} must be {wanted[0]}")
    return found


def _content(file: Path) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ConfigurationError(f"{file} is larger than {LARGEST >> 20} MiB")
    return content
