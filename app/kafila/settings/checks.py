"""What a flag's value has to be, before anything starts. Each check raises ValueError with what would be right."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from kafila.core.admission_plugins import BUILT_IN, PLUGINS
from kafila.core.authorization_modes import AuthorizationMode
from kafila.core.feature_gates import parse_gates
from kafila.core.switches import listed

from .controllers import CONTROLLERS

_SMALLEST_SERVICE_CIDR = 29  # prefix length; kube-apiserver wants eight addresses at least
_NAME: Final = re.compile(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)  # RFC 1123
_SCHEMES = ("postgresql", "postgres")
ISSUER: Final = "https://kubernetes.default.svc.cluster.local"  # of service account tokens


def host_and_port(text: str) -> tuple[str, int | None]:
    """``"h:1"`` → ``("h", 1)``, ``"h"`` → ``("h", None)``; an IPv6 address stands in brackets when a port follows it."""
    if text.count(":") > 1 and not text.startswith("["):
        return text, None
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        return (port or host).strip("[]"), None
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("the port must be a number from 0 to 65535")
    return host.strip("[]"), int(port)


def check_bind(text: str) -> None:
    host, port = host_and_port(text)
    if port is None:
        raise ValueError("must be HOST:PORT, e.g. 127.0.0.1:5443")
    _check_host(host or "127.0.0.1")


def check_advertise(text: str) -> None:
    if text:
        host, port = host_and_port(text)
        if port == 0:
            raise ValueError("the port must be a number from 1 to 65535")
        _check_host(host)


def check_address(text: str) -> None:
    if text:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError("must be an IP address") from None


def check_hosts(text: str) -> None:
    for host in listed(text):
        _check_host(host)


def _check_host(host: str) -> None:
    if len(host) > 253 or not _NAME.fullmatch(host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(
                "must be HOST or HOST:PORT without a scheme or a path, e.g. kafila.example.org:5443"
            ) from None


def check_data_dir(folder: Path) -> None:
    for part in (folder, *folder.parents):
        if part.exists():
            if not part.is_dir():
                raise ValueError(f"{part} is a file: give a folder")
            if not os.access(part, os.W_OK | os.X_OK):
                raise ValueError(f"{part} cannot be written to by this user")
            break


def check_database_url(url: str | None) -> None:
    if not url or url == "memory:":
        return
    if urlsplit(url).scheme not in _SCHEMES:
        raise ValueError("must begin with postgresql://, e.g. postgresql://user@host:5432/kafila")
    import psycopg  # only who gives a URL pays for it

    try:
        found = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error as error:
        raise ValueError(str(error).strip()) from None
    ports = str(found.get("port") or "").split(",")  # one for each of several hosts, or one for all
    if not all(not port or (port.isascii() and port.isdigit() and 0 < int(port) < 65536) for port in ports):
        raise ValueError("the port must be a number from 1 to 65535")


def check_service_cidr(text: str) -> None:
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("must be a range of IPv4 addresses, e.g. 10.96.0.0/12") from None
    if str(network) != text:
        raise ValueError(f"must name the first address and the mask: {network}")
    if network.prefixlen > _SMALLEST_SERVICE_CIDR:
        raise ValueError("must have at least 8 IP addresses")


def check_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None


def check_gates(text: str) -> None:
    parse_gates(text)


def check_controllers(text: str) -> None:
    _check_names(text, CONTROLLERS, "controllers")


def check_plugins(text: str) -> None:
    if listed(text) != ["*"]:
        from importlib.metadata import entry_points

        from kafila.placement.scheduler.plugins import ENTRY_POINTS

        _check_names(text, entry_points(group=ENTRY_POINTS).names, "plugins that are installed")


def _check_names(text: str, known: Iterable[str], what: str) -> None:
    names = sorted(known)
    for part in listed(text):
        if part != "*" and part.removeprefix("-") not in names:
            shown = ", ".join(names) or "there are none"
            raise ValueError(f"{part.removeprefix('-')!r} is not in the list of known {what} ({shown})")


def check_authorization_modes(text: str) -> None:
    modes, known = listed(text), tuple(map(str, AuthorizationMode))
    if not modes:
        raise ValueError(f"must be some of {', '.join(known)}, in order")
    for mode in modes:
        if mode not in known:
            raise ValueError(f"{mode!r} is not a valid mode: must be some of {', '.join(known)}, in order")
        if modes.count(mode) > 1:
            raise ValueError(f"has mode {mode!r} specified more than once")


def check_admission_plugins(text: str) -> None:
    for name in listed(text):
        if name not in PLUGINS:
            raise ValueError(f'admission-control plugin "{name}" is unknown; there are {", ".join(sorted(PLUGINS))}')


def check_enabled_or_disabled(disabled: str, enabled: str) -> None:
    if always := sorted(BUILT_IN.intersection(listed(disabled))):
        raise ValueError(f"{', '.join(always)} cannot be disabled: what it does is a part of the API server here")
    both = sorted(set(listed(disabled)) & set(listed(enabled)))
    if both:
        raise ValueError(f"{', '.join(both)} in enable-admission-plugins and disable-admission-plugins overlapped")


def check_proxy_client(key: str, certificate: str) -> None:
    check_file(key)
    if bool(key) != bool(certificate):
        raise ValueError("belongs to --proxy-client-cert-file: give both or none of them")


def check_authorization_webhook(name: str, modes: str) -> None:
    check_file(name)
    if bool(name) != (AuthorizationMode.WEBHOOK in listed(modes)):
        raise ValueError("belongs to --authorization-mode Webhook: give both or none of them")


def check_file(name: str) -> None:
    if name:
        try:
            Path(name).open("rb").close()
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None


def check_files(text: str) -> None:
    for name in listed(text):
        try:
            check_file(name)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None


class SniFiles(NamedTuple):
    certificate: str
    key: str
    domains: tuple[str, ...]


def sni_files(text: str) -> SniFiles:
    """kube-apiserver's grammar: ``CERT,KEY`` or ``CERT,KEY:DOMAIN,…``. Raises ValueError."""
    files, colon, domains = text.partition(":")
    names = listed(files)
    if len(names) != 2 or files.count(",") != 1:
        raise ValueError(f"{text!r} must be CERT,KEY or CERT,KEY:DOMAIN,DOMAIN")
    for domain in listed(domains):
        _check_domain(domain)
    if colon and not listed(domains):
        raise ValueError(f"{text!r} has a colon and no domain behind it")
    return SniFiles(names[0], names[1], tuple(listed(domains)))


def _check_domain(domain: str) -> None:
    """A wildcard is the whole first label, as in kube-apiserver."""
    if not _NAME.fullmatch(domain.removeprefix("*.")):
        raise ValueError(
            f"{domain!r} is no name of a server: a wildcard may only be its first label, e.g. *.example.org"
        )


def check_sni(values: list[str]) -> None:
    for value in values:
        files = sni_files(value)
        check_files(f"{files.certificate},{files.key}")


def check_issuers(text: str) -> None:
    if not listed(text):
        raise ValueError("must name an issuer")
    for issuer in listed(text):
        if ":" in issuer and urlsplit(issuer).scheme not in ("https", "http"):
            raise ValueError(f"{issuer!r} must be a URL, or have no colon")


def check_jwks_uri(text: str) -> None:
    if text and urlsplit(text).scheme != "https":
        raise ValueError("must be a URL that begins with https://")


def check_headers(text: str) -> None:
    for name in listed(text):
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            raise ValueError(f"{name!r} is no name of a header")


CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "data_dir": check_data_dir,
    "bind": check_bind,
    "advertise": check_advertise,
    "peer_advertise_ip": check_address,
    "apiserver_cert_extra_sans": check_hosts,
    "database_url": check_database_url,
    "feature_gates": check_gates,
    "controllers": check_controllers,
    "service_cidr": check_service_cidr,
    "authorization_mode": check_authorization_modes,
    "enable_admission_plugins": check_admission_plugins,
    "disable_admission_plugins": check_admission_plugins,
    "plugins": check_plugins,
    "skipped_propagating_namespaces": check_pattern,
    **dict.fromkeys(
        (
            "tls_cert_file",
            "tls_private_key_file",
            "client_ca_file",
            "requestheader_client_ca_file",
            "proxy_client_cert_file",
            "token_auth_file",
            "service_account_signing_key_file",
            "authentication_config",
            "authentication_token_webhook_config_file",
            "admission_control_config_file",
            "audit_policy_file",
            "encryption_provider_config",
            "audit_webhook_config_file",
        ),
        check_file,
    ),
    "tls_sni_cert_key": check_sni,
    "service_account_key_file": check_files,
    "service_account_issuer": check_issuers,
    "service_account_jwks_uri": check_jwks_uri,
    **dict.fromkeys(
        (
            f"requestheader_{name}"
            for name in ("username_headers", "group_headers", "uid_headers", "extra_headers_prefix")
        ),
        check_headers,
    ),
    **dict.fromkeys((f"scheduler_estimator_{name}_file" for name in ("ca", "cert", "key")), check_file),
}
