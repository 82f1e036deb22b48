"""``kafila serve``: the flags are the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from . import given


def serve(
    *,
    data_dir: Annotated[Path, Parameter(help="Folder of the kubeconfig and the embedded database.")] = Path(".data"),
    bind: Annotated[str, Parameter(help="HOST:PORT to serve on; port 0 takes a free one.")] = "127.0.0.1:5443",
    advertise: Annotated[str, Parameter(help="HOST[:PORT] that clients use, when it is not the bound one.")] = "",
    database_url: Annotated[
        str | None, Parameter(help="postgresql://… ; without it an embedded PostgreSQL is started under --data-dir.")
    ] = None,
    role: Annotated[Literal["all", "api", "workers"], Parameter(help="What this process does.")] = "all",
    feature_gates: Annotated[str, Parameter(help="Karmada's feature gates: A=true,B=false.")] = "",
    controllers: Annotated[str, Parameter(help="Controllers to run: '*' all, 'x' x, '-x' all but x.")] = "*",
    watch_history: Annotated[float, Parameter(help="Seconds of history that watches can resume from.")] = 300.0,
    event_ttl: Annotated[
        float, Parameter(help="Seconds that Events live after they were last written, and up to an eighth longer.")
    ] = 3600.0,
    watch_history_memory_mib: Annotated[int, Parameter(help="MiB of the newest history that are kept in memory.")] = 32,
    max_object_bytes: Annotated[
        int, Parameter(help="Bytes of an object as it is stored; a write that would make a larger one is refused.")
    ] = 8 << 20,
    max_header_bytes: Annotated[int, Parameter(help="Bytes of a request's line and headers.")] = 1 << 20,
    read_header_timeout: Annotated[
        float, Parameter(help="Seconds for the TLS handshake, and for a request's head.")
    ] = 32.0,
    idle_timeout: Annotated[float, Parameter(help="Seconds that a connection waits for its next request.")] = 120.0,
    request_timeout: Annotated[
        float, Parameter(help="Seconds for a request's body, and without progress of who reads an answer.")
    ] = 60.0,
    max_connections: Annotated[
        int, Parameter(help="Connections at once; fewer where the limit of descriptors says so.")
    ] = 10_000,
    max_connections_per_peer: Annotated[int, Parameter(help="Connections of one address; 0: half of all.")] = 0,
    service_cidr: Annotated[str, Parameter(help="Range of cluster IPs.")] = "10.96.0.0/12",
    cluster_status_frequency: Annotated[float, Parameter(help="Seconds between two looks at a member.")] = 10.0,
    cluster_success_threshold: Annotated[
        float, Parameter(help="Seconds that a member has to answer again before it is Ready.")
    ] = 30.0,
    cluster_failure_threshold: Annotated[
        float, Parameter(help="Seconds that a member has to fail before it is not Ready.")
    ] = 30.0,
    member_answer_bytes: Annotated[
        int, Parameter(help="Bytes of one answer of a member, decompressed; a member that sends more is not Ready.")
    ] = 8 << 20,
    member_objects: Annotated[
        int, Parameter(help="Objects of one kind in a member that are looked at; with more it is not Ready.")
    ] = 250_000,
    member_memory_mib: Annotated[
        int, Parameter(help="MiB of a member's objects that are kept in memory; with more it is not Ready.")
    ] = 256,
    graceful_eviction_timeout: Annotated[
        float, Parameter(help="Seconds that a copy that leaves a cluster waits for the others to become healthy.")
    ] = 600.0,
    enable_no_execute_taint_eviction: Annotated[
        bool, Parameter(help="Evict from clusters whose NoExecute taints are not tolerated (gate Failover).")
    ] = False,
    no_execute_taint_eviction_purge_mode: Annotated[
        Literal["Gracefully", "Directly"], Parameter(help="Whether the next cluster gets it before the last loses it.")
    ] = "Gracefully",
    resource_eviction_rate: Annotated[float, Parameter(help="Evictions a second.")] = 0.5,
    allow_no_execute_taint_policy: Annotated[
        bool, Parameter(help="Allow the effect NoExecute in ClusterTaintPolicies.")
    ] = False,
    federated_resource_quota_sync_period: Annotated[
        float, Parameter(help="Seconds between two counts of what quotas are used; 0 for never.")
    ] = 300.0,
    enable_scheduler_estimator: Annotated[
        bool, Parameter(help="Ask the accurate estimators of the members (karmada-scheduler-estimator).")
    ] = False,
    disable_scheduler_estimator_in_pull_mode: Annotated[
        bool, Parameter(help="Do not ask the estimators of clusters in pull mode.")
    ] = False,
    scheduler_estimator_timeout: Annotated[float, Parameter(help="Seconds that an estimator has to answer.")] = 3.0,
    scheduler_estimator_service_namespace: Annotated[
        str, Parameter(help="Namespace of the estimators' Services.")
    ] = "karmada-system",
    scheduler_estimator_service_prefix: Annotated[
        str, Parameter(help="Estimators' Services are named PREFIX-CLUSTER.")
    ] = "karmada-scheduler-estimator",
    scheduler_estimator_port: Annotated[int, Parameter(help="Port of the estimators' Services.")] = 10352,
    scheduler_estimator_ca_file: Annotated[
        str, Parameter(help="CA of the estimators' certificates; without it there is no TLS.")
    ] = "",
    scheduler_estimator_cert_file: Annotated[str, Parameter(help="Our certificate for the estimators.")] = "",
    scheduler_estimator_key_file: Annotated[str, Parameter(help="Our key for the estimators.")] = "",
    insecure_skip_estimator_verify: Annotated[
        bool, Parameter(help="TLS with the estimators without looking at their certificates.")
    ] = False,
    plugins: Annotated[str, Parameter(help="Scheduler plugins to use: '*' all, 'x' x, '-x' all but x.")] = "*",
    skipped_propagating_namespaces: Annotated[
        str, Parameter(help="Regular expression of namespaces left alone.")
    ] = "kube-.*",
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Parameter(help="What is logged.")] = "info",
) -> None:
    """Serve the control plane until SIGTERM. Every flag can also be given as KAFILA_NAME in the environment."""
    values = dict(locals())
    from kafila.telemetry.logs import configure  # noqa: I001  first: whoever imports structlog before it pays for rich

    from kafila.workers.serve import run

    from .starting import listen, settings_of, starting

    settings = settings_of({name: values[name] for name in given.get()})
    configure(settings.log_level)
    with starting(settings):
        run(settings, listen(settings))
