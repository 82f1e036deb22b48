"""What is recorded in this process: the policy and the backends that the settings ask for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from prometheus_client import Counter

from kafila.api.auditing import Auditor, Backend
from kafila.api.journaling import next_id
from kafila.audit.log import LogBackend, LogFile, StandardOutput
from kafila.audit.reading import read_policy
from kafila.audit.table import Journal
from kafila.audit.webhook import Batching, WebhookBackend
from kafila.authentication.reloading import follow, read
from kafila.core.resources import Key
from kafila.members.client import MemberClient
from kafila.members.kubeconfig import KubeconfigError, load
from kafila.registry import Registry
from kafila.settings.settings import Settings
from kafila.store.interface import Store

from .webhooks import post_to

if TYPE_CHECKING:
    from .encryption import AtRest

BACKENDS: Final = ("audit_log_path", "audit_webhook_config_file")
TIMEOUT: Final = 10.0  # seconds at the end of the process, for what is not written yet
_TIMEOUT: Final = 30.0  # seconds for an answer of the webhook
RELOADS: Final = Counter(
    "kafila_audit_policy_reloads", "Audit policies that were read again because the file changed.", ["status"]
)


def wrong_file(settings: Settings) -> tuple[str, str] | None:
    """The first setting of audit that cannot be served, and why; before anything starts."""
    policy, backend = settings.audit_policy_file, next((name for name in BACKENDS if getattr(settings, name)), "")
    if policy and not backend and settings.audit_table == "none":
        wanted = "--audit-log-path, --audit-webhook-config-file or --audit-table"
        return "audit_policy_file", f"needs {wanted}: where events go"
    if backend and not policy:
        return backend, "needs --audit-policy-file: what is recorded"
    try:
        name = "audit_policy_file"
        read_policy(read(Path(policy)))
        name = "audit_log_path"
        if settings.audit_log_path not in ("", "-"):
            LogFile(Path(settings.audit_log_path)).close()
        name = "audit_webhook_config_file"
        if settings.audit_webhook_config_file:
            load(settings.audit_webhook_config_file)
    except OSError as error:
        return name, f"cannot be written to: {error.strerror}"
    except (ValueError, KubeconfigError) as error:
        return name, str(error)
    return None


def journal_of(settings: Settings, store: Store, registry: Registry, at_rest: AtRest | None) -> Journal | None:
    """Who changed what; writes that no request asks for only where the settings say so."""
    if settings.audit_table == "none":
        return None
    journal = Journal(store) if at_rest is None else Journal(store, seals=at_rest.encryption.seals)
    if settings.audit_table == "all":

        def collect(key: Key, before: bytes, after: bytes) -> None:
            journal.of_controllers(time.time(), next_id(), key, before, after)

        registry.transactions.collect = collect
    return journal


@final
class Audit:
    """Made in the event loop that serves. Raises ValueError, OSError, KubeconfigError."""

    def __init__(self, settings: Settings, journal: Journal | None = None) -> None:
        """``journal`` follows the policy too."""
        self._journal = journal
        self._log: LogBackend | None = None
        self._webhook: WebhookBackend | None = None
        self._client: MemberClient | None = None
        self._file = Path(settings.audit_policy_file)
        self._content = read(self._file)
        policy = read_policy(self._content)
        backends: list[Backend] = []
        if path := settings.audit_log_path:
            self._log = LogBackend(_output(path, settings))
            backends.append(self._log)
        if file := settings.audit_webhook_config_file:
            self._client = load(file).client("audit-webhook", qps=1e6, burst=10**6, timeout=_TIMEOUT)
            self._webhook = WebhookBackend(post_to(self._client, taken=range(200, 300)), _batching(settings))
            backends.append(self._webhook)
        self.auditor = Auditor(policy, backends)
        if journal is not None:
            journal.policy = policy

    def follow(self) -> asyncio.Task[None]:
        """Reads the policy again when it changes, until this is cancelled."""
        return asyncio.create_task(follow(self._file, self._content, self._replace, reloads=RELOADS))

    def _replace(self, content: bytes) -> None:
        self.auditor.policy = read_policy(content)
        if self._journal is not None:
            self._journal.policy = self.auditor.policy

    async def close(self) -> None:
        """What is recorded until now is still written."""
        if self._log is not None:
            await asyncio.to_thread(self._log.close, TIMEOUT)
        if self._webhook is not None:
            await self._webhook.close(TIMEOUT)
        if self._client is not None:
            await self._client.close()


def _output(path: str, settings: Settings) -> LogFile | StandardOutput:
    if path == "-":
        return StandardOutput()
    sizes = (settings.audit_log_maxsize, settings.audit_log_maxbackup, settings.audit_log_maxage)
    return LogFile(Path(path), *sizes)


def _batching(settings: Settings) -> Batching:
    return Batching(
        settings.audit_webhook_batch_buffer_size,
        settings.audit_webhook_batch_max_size,
        settings.audit_webhook_batch_max_wait,
        settings.audit_webhook_initial_backoff,
    )
