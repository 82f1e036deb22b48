"""Metrics under kube-apiserver's names (k8s.io/apiserver/pkg/storage/value, server/options/encryptionconfig/metrics)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

OPERATIONS = Counter(
    "apiserver_storage_transformation_operations",
    "Bodies that were sealed (to_storage) or opened (from_storage), by provider and key, and whether that worked.",
    ["resource", "transformation_type", "transformer_prefix", "status"],
)
RELOADS = Counter(
    "apiserver_encryption_config_controller_automatic_reloads",
    "Encryption configurations that were read again because the file changed.",
    ["status"],
)
RELOADED_AT = Gauge(
    "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds",
    "When that last happened.",
    ["status"],
)
CONFIGURATION = Gauge(
    "apiserver_encryption_config_controller_last_config_info",
    "1 for the hash of the configuration that is in force.",
    ["hash"],
)
KMS_LATENCY = Histogram(
    "apiserver_envelope_encryption_kms_operations_latency_seconds",
    "Answers of KMS plugins.",
    ["provider_name", "method_name", "grpc_status_code"],
    buckets=[0.0001 * 2**n for n in range(14)],
)
KEY_IDS = Counter(
    "apiserver_envelope_encryption_key_id_hash",
    "Uses of a KMS's key, by its hash.",
    ["transformation_type", "provider_name", "key_id_hash"],
)
KEY_ID_STATUS = Gauge(
    "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds",
    "When a KMS last said that this is its key.",
    ["provider_name", "key_id_hash"],
)
INVALID_KEY_IDS = Counter(
    "apiserver_envelope_encryption_invalid_key_id_from_status",
    "Keys that a KMS named and that cannot be, by reason.",
    ["provider_name", "error"],
)
SEEDS = Gauge(
    "apiserver_envelope_encryption_dek_source_cache_size",
    "Seeds that are in memory: after a start, about as many calls of the KMS.",
    ["provider_name"],
)
