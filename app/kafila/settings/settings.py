"""The flags of `kafila serve`: one table, from which the command line and ``--help`` are made.

Those of Karmada's controllers are in ``federation.py``. Defaults of ``ServingOptions``, which the API is handed whole, are beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kafila.core.admission_plugins import in_force
from kafila.core.feature_gates import parse_gates
from kafila.core.switches import is_enabled, listed

from . import checks
from .controllers import OFF_BY_DEFAULT
from .federation import FederationOptions
from .numbers import Seconds
from .serving import MAX_OBJECT_BYTES, ServingOptions

Role = Literal["all", "api", "workers"]
_SERVING: Final = ServingOptions()


class ServerOptions(BaseModel):
    """All but those of Karmada's controllers."""

    data_dir: Path = Field(Path(".data"), description="Kubeconfig, certificates and the embedded database.")
    bind: str = Field(
        "127.0.0.1:5443",
        description="HOST:PORT to serve on; port 0 takes a free one. Workers, only where it is given, serve health there.",
    )
    advertise: str = Field("", description="HOST or HOST:PORT that clients use, when it is not the bound one.")
    peer_advertise_ip: str = Field(
        "",
        description="IP address at which other processes reach this one (default: the bound one, or that of the default route).",
    )
    peer_advertise_port: int = Field(0, description="And the port, when it is not the bound one.", ge=0, le=65535)
    apiserver_cert_extra_sans: str = Field(
        "", description="More names and addresses in our own serving certificate, with commas."
    )
    database_url: str | None = Field(
        None, description="postgresql://…; without it an embedded PostgreSQL is started under --data-dir."
    )
    role: Role = Field("all", description="What this process does.")
    feature_gates: str = Field("", description="Karmada's feature gates: A=true,B=false.")
    controllers: str = Field(
        "*", description="Controllers to run: '*' all that are on by default, 'x' only x, '-x' all but x."
    )
    share_members: bool = Field(
        True,
        description="Share member clusters out among all processes with controllers; else the one that leads has them all.",
    )
    watch_history: Seconds = Field(300.0, description="Seconds of history that watches can resume from.", ge=60)
    event_ttl: Seconds = Field(
        3600.0, description="Seconds that Events live after they were last written, and up to an eighth longer.", ge=60
    )
    watch_history_memory_mib: int = Field(32, description="MiB of the newest history that are kept in memory.", ge=1)
    max_object_bytes: int = Field(
        MAX_OBJECT_BYTES,
        description="Bytes of an object as it is stored; a write that would make a larger one is refused.",
        ge=64 << 10,
        le=32 << 20,
    )
    max_header_bytes: int = Field(
        _SERVING.max_header_bytes, description="Bytes of a request's line and headers.", ge=4096, le=16 << 20
    )
    read_header_timeout: float = Field(
        _SERVING.read_header_timeout, description="Seconds for the TLS handshake, and for a request's head.", gt=0
    )
    idle_timeout: float = Field(
        _SERVING.idle_timeout, description="Seconds that a connection waits for its next request.", gt=0
    )
    request_timeout: float = Field(
        _SERVING.request_timeout,
        description="Seconds for a request's body, and without progress of who reads an answer.",
        gt=0,
    )
    max_connections: int = Field(
        _SERVING.max_connections, description="Connections at once; fewer where the limit of descriptors says so.", ge=1
    )
    max_connections_per_peer: int = Field(
        _SERVING.max_connections_per_peer, description="Connections of one address; 0: half of all.", ge=0
    )
    enable_priority_and_fairness: bool = Field(
        True, description="FlowSchemas and PriorityLevelConfigurations say which requests wait."
    )
    max_requests_inflight: int = Field(
        400,
        description="Requests under way at once: the seats that priority levels share, with the next.",
        ge=0,
        le=1 << 20,
    )
    max_mutating_requests_inflight: int = Field(200, description="More of them.", ge=0, le=1 << 20)
    service_cidr: str = Field("10.96.0.0/12", description="Range of cluster IPs.")
    authorization_mode: str = Field(
        "RBAC",
        description="Who decides what a user may do, in order: RBAC, Webhook, AlwaysAllow, AlwaysDeny.",
    )
    authorization_webhook_config_file: str = Field(
        "", description="kubeconfig of the server that the mode Webhook asks."
    )
    enable_admission_plugins: str = Field(
        "", description="Admission plugins to ask beside those that are asked by default; with commas."
    )
    disable_admission_plugins: str = Field("", description="Admission plugins not to ask; with commas.")
    tls_cert_file: str = Field(
        "", description="PEM of a serving certificate of your own, with its chain; read again when it changes."
    )
    tls_private_key_file: str = Field("", description="PEM of its private key; read again when it changes.")
    tls_sni_cert_key: Annotated[list[str], NoDecode] = Field(
        [],
        description="CERT,KEY or CERT,KEY:DOMAIN,…: files of a certificate for clients that ask for these names; repeatable.",
    )
    client_ca_file: str = Field(
        "", description="PEM of more CAs that sign clients' certificates; read again when it changes."
    )
    token_auth_file: str = Field("", description='File of static tokens: token,user,uid,"group,group".')
    enable_bootstrap_token_auth: bool = Field(True, description="Accept bootstrap tokens (Secrets in kube-system).")
    anonymous_auth: bool = Field(True, description="Let in who shows no credential as system:anonymous.")
    service_account_issuer: str = Field(
        checks.ISSUER,
        description="Issuers of service account tokens: the first is written, all are accepted; with commas.",
    )
    service_account_key_file: str = Field("", description="PEM files of more keys that are accepted; with commas.")
    service_account_signing_key_file: str = Field("", description="PEM of the key that signs, instead of our own.")
    service_account_jwks_uri: str = Field("", description="Where others find the keys, when it is not this server.")
    service_account_max_token_expiration: int = Field(
        0, description="Seconds that a requested token lives at most; 0: as long as asked for.", ge=0, le=1 << 32
    )
    cluster_signing_duration: Seconds = Field(
        31_536_000.0,
        description="Seconds that a certificate lives at most which a CertificateSigningRequest gets.",
        ge=600,
    )
    api_audiences: str = Field("", description="Audiences of this API server, with commas; by default the issuers.")
    authentication_config: str = Field(
        "",
        description="File with an AuthenticationConfiguration (OIDC issuers, anonymous); read again when it changes.",
    )
    authentication_token_webhook_config_file: str = Field("", description="Kubeconfig of a webhook that knows tokens.")
    authentication_token_webhook_cache_ttl: Seconds = Field(
        120.0, description="Seconds that its answers are remembered.", ge=0
    )
    authentication_token_webhook_version: Literal["v1", "v1beta1"] = Field(
        "v1beta1", description="Version of the TokenReviews that it is asked with."
    )
    requestheader_client_ca_file: str = Field("", description="PEM of CAs of proxies that say who the caller is.")
    requestheader_allowed_names: str = Field("", description="Common names of such proxies; all without. With commas.")
    requestheader_username_headers: str = Field("X-Remote-User", description="Headers with the user's name.")
    requestheader_group_headers: str = Field("X-Remote-Group", description="Headers with groups.")
    requestheader_uid_headers: str = Field("X-Remote-Uid", description="Headers with the user's uid.")
    requestheader_extra_headers_prefix: str = Field("X-Remote-Extra-", description="Prefixes of headers with extras.")
    encryption_provider_config: str = Field(
        "",
        description="File with an EncryptionConfiguration: which resources are stored encrypted, and under which keys.",
    )
    encryption_provider_config_automatic_reload: bool = Field(
        False, description="Read that file again when it changes."
    )
    admission_control_config_file: str = Field(
        "", description="File with an AdmissionConfiguration: as whom admission webhooks are asked."
    )
    proxy_client_cert_file: str = Field(
        "",
        description="PEM of the certificate that extension servers are shown; ours without. Read again when it changes.",
    )
    proxy_client_key_file: str = Field("", description="PEM of its private key.")
    audit_policy_file: str = Field(
        "", description="File with an audit Policy: what is recorded of requests; read again when it changes."
    )
    audit_log_path: str = Field("", description="File that audit events are appended to, a line each; '-': stdout.")
    audit_log_maxsize: int = Field(0, description="MiB of it before it is exchanged; 0: 100.", ge=0, le=1 << 20)
    audit_log_maxbackup: int = Field(0, description="Old ones that are kept; 0: all.", ge=0)
    audit_log_maxage: int = Field(0, description="Days that old ones are kept; 0: for ever.", ge=0)
    audit_webhook_config_file: str = Field(
        "", description="kubeconfig of the server that audit events are sent to in batches."
    )
    audit_webhook_initial_backoff: Seconds = Field(
        10.0, description="Seconds before a batch that was not taken is sent again; then longer.", ge=0
    )
    audit_webhook_batch_buffer_size: int = Field(
        10_000, description="Events that wait to be sent; more are lost, and counted.", ge=1, le=1_000_000
    )
    audit_webhook_batch_max_size: int = Field(400, description="Events of a batch.", ge=1, le=100_000)
    audit_webhook_batch_max_wait: Seconds = Field(
        30.0, description="Seconds that a batch waits until it is full.", ge=0
    )
    audit_table: Literal["none", "users", "all"] = Field(
        "users", description="Whose writes are recorded in the database, for kafila audit: 'all' has controllers too."
    )
    audit_table_retention: Seconds = Field(
        604800.0, description="Seconds that they are kept, and up to six hours longer.", ge=3600
    )
    audit_table_max_mib: int = Field(
        1024, description="MiB that they may take; the oldest go before their time.", ge=16, le=1 << 24
    )
    allow_no_execute_taint_policy: bool = Field(
        False, description="Allow the effect NoExecute in ClusterTaintPolicies."
    )
    plugins: str = Field("*", description="Scheduler plugins to use: '*' all, 'x' only x, '-x' all but x.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")


class Settings(FederationOptions, ServerOptions, BaseSettings):
    model_config = SettingsConfigDict(env_prefix="KAFILA_", extra="forbid", validate_default=True)

    @field_validator("tls_sni_cert_key", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """The environment has one text for all of them."""
        return [part.strip() for part in value.split(";") if part.strip()] if isinstance(value, str) else value

    @field_validator(*checks.CHECKS)
    @classmethod
    def _check(cls, value: Any, info: ValidationInfo) -> Any:
        checks.CHECKS[info.field_name or ""](value)
        return value

    @field_validator("max_mutating_requests_inflight")
    @classmethod
    def _check_seats(cls, value: int, info: ValidationInfo) -> int:
        if value + info.data.get("max_requests_inflight", 1) < 1:
            raise ValueError("must be positive, or max_requests_inflight must be: nobody would be served")
        return value

    @field_validator("authorization_webhook_config_file")
    @classmethod
    def _check_webhook(cls, value: str, info: ValidationInfo) -> str:
        checks.check_authorization_webhook(value, info.data.get("authorization_mode", ""))
        return value

    @field_validator("proxy_client_key_file")
    @classmethod
    def _check_proxy_client(cls, value: str, info: ValidationInfo) -> str:
        checks.check_proxy_client(value, info.data.get("proxy_client_cert_file", ""))
        return value

    @field_validator("disable_admission_plugins")
    @classmethod
    def _check_disabled(cls, value: str, info: ValidationInfo) -> str:
        checks.check_enabled_or_disabled(value, info.data.get("enable_admission_plugins", ""))
        return value

    @property
    def admission_plugins(self) -> frozenset[str]:
        """The names of those that are on."""
        return in_force(listed(self.enable_admission_plugins), listed(self.disable_admission_plugins))

    @property
    def authorization_modes(self) -> list[str]:
        return listed(self.authorization_mode)

    @property
    def host(self) -> str:
        return checks.host_and_port(self.bind)[0] or "127.0.0.1"

    @property
    def port(self) -> int:
        return checks.host_and_port(self.bind)[1] or 0

    @property
    def listens(self) -> bool:
        """Workers do where an address was given, for health and metrics."""
        return self.role != "workers" or "bind" in self.model_fields_set

    @property
    def gates(self) -> frozenset[str]:
        """The feature gates that are on."""
        return parse_gates(self.feature_gates)

    @property
    def total_seats(self) -> int:
        return self.max_requests_inflight + self.max_mutating_requests_inflight

    @property
    def serving(self) -> ServingOptions:
        return ServingOptions(**{name: getattr(self, name) for name in ServingOptions._fields})

    def runs(self, controller: str) -> bool:
        """Whether ``--controllers`` lets a controller run."""
        return is_enabled(controller, self.controllers, controller in OFF_BY_DEFAULT)
