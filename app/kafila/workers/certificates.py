"""The certificates of this process: which it shows to clients, when they are renewed, and the kubeconfig of its administrator.

Our own are issued at each start, and again while serving, before they end. The user's own are read again when their files change;
nobody but the user can renew those, so that their end is reported in time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, final

import orjson
import structlog
from prometheus_client import Counter, Gauge

from kafila.api.tls import ServingTLS, context_of
from kafila.authentication.reloading import follow_together, read
from kafila.core.files import write_private
from kafila.identity.authority import Authority, certificates_in_use
from kafila.identity.certificates import KeyPair, issue
from kafila.identity.keys import Keys
from kafila.identity.kubeconfig import write_kubeconfig
from kafila.identity.serving import Named, by_name, check_pair, ends, first_of, is_due
from kafila.settings.checks import sni_files
from kafila.settings.settings import Settings

log = structlog.get_logger(__name__)
PERIOD: Final = 1.0  # seconds between two looks
SHARE: Final = 0.8  # of a certificate's life, after which it is renewed
EARLY: Final = timedelta(days=30)  # before the end of what cannot be renewed here
AGAIN: Final = timedelta(days=1)  # between two warnings of one end, and after a renewal that failed
LOOPBACK: Final = "apiserver-loopback-client"  # kube-apiserver's: who asks for it is shown our own certificate
RECORD: Final = "certificates.json"  # what is in use, for `kafila certs`
REQUEST: Final = "renew"  # what `kafila certs renew` asks for
EXPIRY: Final = Gauge(
    "kafila_certificate_expiration_timestamp_seconds", "When a certificate that is in use ends.", ["certificate"]
)
RELOADS: Final = Counter(
    "kafila_serving_certificate_reloads",
    "Serving certificates that were read again because a file changed.",
    ["status"],
)
RENEWABLE: Final = ("apiserver", "admin")
OVERLAP_ENDS: Final = Gauge(
    "kafila_ca_rotation_ends_timestamp_seconds",
    "When the CA before is believed no longer; 0 while no rotation is under way.",
)
_USES: Final = {
    "ca": "signs apiserver and admin, and is believed of clients",
    "front-proxy-ca": "published for aggregated API servers",
    "admin": "client certificate in kubeconfig",
}


class Files(NamedTuple):
    """Of a certificate of the user's own. ``domains``: the names that it is given for."""

    name: str
    setting: str
    certificate: Path
    key: Path
    domains: tuple[str, ...] = ()


def given_files(settings: Settings) -> list[Files]:
    found = []
    if settings.tls_cert_file:
        key = Path(settings.tls_private_key_file)
        found.append(Files("tls-cert-file", "tls_cert_file", Path(settings.tls_cert_file), key))
    for number, text in enumerate(settings.tls_sni_cert_key):
        certificate, key_file, domains = sni_files(text)
        name = f"tls-sni-cert-key-{number}"
        found.append(Files(name, "tls_sni_cert_key", Path(certificate), Path(key_file), domains))
    return found


def wrong_file(settings: Settings) -> tuple[str, str] | None:
    """The first setting that names what cannot be served, and why; before anything starts."""
    certificate, key = settings.tls_cert_file, settings.tls_private_key_file
    if certificate and not key:
        return "tls_cert_file", "needs --tls-private-key-file"
    if key and not certificate:
        return "tls_private_key_file", "needs --tls-cert-file"
    for files in given_files(settings):
        try:
            _usable([read(files.certificate), read(files.key)], datetime.now(UTC))
        except ValueError as error:
            return files.setting, str(error)
    return None


def _usable(contents: Sequence[bytes], now: datetime) -> KeyPair:
    """Of the files with a certificate and its key. Raises ValueError."""
    certificate, key = contents
    pair = check_pair(certificate, key, now)
    try:
        context_of(pair)
    except ssl.SSLError as error:
        raise ValueError(
            f"OpenSSL does not take it: {(error.reason or str(error)).lower().replace('_', ' ')}"
        ) from None
    return pair


@final
class Certificates:
    """``hosts``: names and addresses of this server. ``clock``: what the time is."""

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        hosts: Sequence[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises ValueError, OSError."""
        self._data, self.folder = settings.data_dir, settings.data_dir / "pki"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._authority, self._front_proxy, self._clock = keys.authority, keys.front_proxy, clock
        self._hosts = [*hosts, LOOPBACK]
        self._server = ""
        self._not_before: dict[str, datetime] = {}  # by certificate, when it is spoken of or tried again
        self.warn: Callable[[str, str], None] = lambda reason, message: None  # records an event
        self._under: dict[str, Authority] = {}  # by certificate of ours, how things were when it was issued
        self._files = given_files(settings)
        self._contents = {f.name: [read(f.certificate), read(f.key)] for f in self._files}
        self._users = {name: _usable(contents, clock()) for name, contents in self._contents.items()}
        self._own = {"apiserver": self._issue_serving()}
        self.tls = ServingTLS(self._authority.bundle, self._own["apiserver"])
        self._show()

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _issue_serving(self) -> KeyPair:
        authority = self._authority
        issued = issue(authority.pair, "kube-apiserver", hosts=self._hosts, now=self._clock())
        self._under["apiserver"] = authority
        return authority.with_chain(issued)

    def _show(self) -> None:
        """What is in force now, to new connections and to whoever looks. Raises ssl.SSLError, OSError."""
        own = self._own["apiserver"]
        named = [Named(self._users[f.name], f.domains) for f in self._files if f.setting == "tls_sni_cert_key"]
        self.tls.show(self._users.get("tls-cert-file", own), by_name([Named(own, (LOOPBACK,)), *named]))
        self._record()

    def _record(self) -> None:
        own = {name: first_of(pair.certificate) for name, pair in self._own.items()}  # its chain is the authority's
        others = {name: pair.certificate for name, pair in (*self._others().items(), *self._users.items())}
        certificates = {**others, **own}
        record = [
            {"name": name, "usedBy": self._use(name), "certificate": certificates[name].decode()}
            for name in (*self._others(), *self._own, *self._users)
        ]
        EXPIRY.clear()
        for name, certificate in certificates.items():
            EXPIRY.labels(name).set(ends(certificate).timestamp())
        previous = self._authority.previous
        OVERLAP_ENDS.set(previous.until.timestamp() if previous else 0)
        write_private(self.folder / "ca.crt", self._authority.bundle)
        write_private(self.folder / "server.crt", self._own["apiserver"].certificate)
        write_private(self.folder / RECORD, orjson.dumps(record))

    def _others(self) -> dict[str, KeyPair]:
        """What neither we nor the user renew while serving."""
        return {**dict(certificates_in_use(self._authority)), "front-proxy-ca": self._front_proxy}

    def _use(self, name: str) -> str:
        previous = self._authority.previous
        if name == "ca-previous" and previous is not None:
            return f"is believed beside ca until {previous.until:%Y-%m-%dT%H:%M:%SZ}"
        if name == "apiserver":
            return "shown to users of kubeconfig" if "tls-cert-file" in self._users else "shown to clients"
        for files in self._files:
            if files.name == name:
                return f"shown to clients, from {files.certificate}"
        return _USES[name]

    def shown_chain(self) -> bytes:
        """PEM of what the user's own certificate is from, as far as its file says so: clients who do not know ours need it."""
        shown = self._users.get("tls-cert-file")
        if shown is None:
            return b""
        return shown.certificate.removeprefix(first_of(shown.certificate)) or shown.certificate

    # -- the administrator's kubeconfig ----------------------------------------------------------------------------

    def write_kubeconfig(self, server: str) -> None:
        """Raises OSError."""
        self._server = server
        self._renew_admin()
        self._record()

    def _renew_admin(self) -> None:
        authority = self._authority
        admin = issue(authority.pair, "system:admin", ["system:masters"], now=self._clock())
        name = LOOPBACK if self._users else ""  # its CA is not ours
        admin = authority.with_chain(admin)
        write_kubeconfig(self._data / "kubeconfig", self._server, authority.bundle, admin, name)
        self._own["admin"], self._under["admin"] = admin, authority

    # -- while serving ---------------------------------------------------------------------------------------------

    def follow(self) -> list[asyncio.Task[None]]:
        """Renews, and reads files again when they change, until these are cancelled."""
        following = [
            follow_together(
                [files.certificate, files.key],
                self._contents[files.name],
                partial(self._replace, files.name),
                reloads=RELOADS,
            )
            for files in self._files
        ]
        return [asyncio.create_task(each) for each in (self._keep(), *following)]

    def _replace(self, name: str, contents: list[bytes]) -> None:
        """Raises ValueError, OSError, and leaves all as it was."""
        self._users[name], before = _usable(contents, self._clock()), self._users[name]
        try:
            self._show()
        except OSError:
            self._users[name] = before
            raise
        self._not_before.pop(name, None)

    def take(self, authority: Authority) -> None:
        """The authority is this one now: believed at once, and :meth:`look` issues by it. Raises ssl.SSLError."""
        self.tls.trust(authority.bundle)
        self._authority = authority
        for name in RENEWABLE:
            self._not_before.pop(name, None)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            self.look()

    def look(self) -> None:
        """Renews what is due or asked for, and reports what will end and cannot be renewed."""
        now, asked = self._clock(), self._asked()
        for name in RENEWABLE:
            if name in self._own and (name in asked or self._is_due(name, now)):
                self._renew(name, now)
        for name, pair in {**self._others(), **self._users}.items():
            if name != "ca-previous" and ends(pair.certificate) - now <= EARLY and self._may(name, now):
                self._not_before[name] = now + AGAIN
                self._warn(name, pair, now)

    def _asked(self) -> list[str]:
        request = self.folder / REQUEST
        try:
            names = request.read_text().split()
            request.unlink()
        except OSError:
            return []
        return names

    def _may(self, name: str, now: datetime) -> bool:
        return now >= self._not_before.get(name, now)

    def _is_due(self, name: str, now: datetime) -> bool:
        """A new one that would not outlive it is none."""
        if self._under[name] != self._authority:  # what comes with it is another chain
            return self._may(name, now)
        certificate = first_of(self._own[name].certificate)
        outlived = ends(certificate) < ends(self._authority.pair.certificate)
        return outlived and is_due(certificate, now, SHARE) and self._may(name, now)

    def _renew(self, name: str, now: datetime) -> None:
        before, under = dict(self._own), dict(self._under)
        try:
            if name == "admin":
                self._renew_admin()
            else:
                self._own[name] = self._issue_serving()
            self._show()
        except OSError as error:
            self._own, self._under = before, under
            self._not_before[name] = now + AGAIN
            log.error("certificate not renewed, the old one stays in force", certificate=name, reason=str(error))
            self.warn("CertificateNotRenewed", f"{name}: {error}")
        else:
            log.info(
                "certificate renewed", certificate=name, ends=ends(first_of(self._own[name].certificate)).isoformat()
            )

    def _warn(self, name: str, pair: KeyPair, now: datetime) -> None:
        at = ends(pair.certificate)
        log.warning("certificate ends soon", certificate=name, ends=at.isoformat(), used=self._use(name))
        how = "has expired" if at <= now else "expires"
        self.warn("CertificateExpiring", f"certificate {name} ({self._use(name)}) {how} at {at:%Y-%m-%dT%H:%M:%SZ}")
