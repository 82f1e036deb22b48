"""Strategies of the core group and of workloads (apps, batch)."""

from __future__ import annotations

from kafila.catalog.kind import Strategy
from kafila.core import names

from . import pod_views, prepare, services
from .defaults import core, pods, workloads
from .strategy_forms import PLAIN, generic, strategy
from .validation import (
    apps,
    batch,
    configuration,
    endpoints,
    jobstatus,
    nodes,
    pod,
    pod_update,
    quotas,
    service,
    status,
    storage,
)
from .warnings import kinds as warned
from .warnings import service_warnings

_SCHEDULING_GROUP = ("spec", "schedulingGroup")
_ORPHANED_PODS = (
    "child pods are preserved by default when jobs are deleted; "
    "set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"
)

TABLE: dict[tuple[str, str], Strategy] = {
    # core
    ("", "Pod"): strategy(
        pod.validate_pod,
        validate_create=pod.validate_new_pod,
        default=pods.default_pod,
        prepare_for_create=prepare.create_pod,
        prepare_status=prepare.keep_pod_qos,
        validate_update=pod_update.validate_pod_update,
        views={
            "ephemeralcontainers": (pod_views.only_ephemeral_containers, pod_views.validate_ephemeral_containers),
            "resize": (pod_views.only_resources, pod_views.validate_resize),
        },
        returns_deleted_object=True,
        graceful=True,
        kept_by_status=("ownerReferences",),
        warnings=warned.pod,
        validate_status=status.pod,
        disabled=(_SCHEDULING_GROUP,),
    ),
    ("", "PodTemplate"): strategy(
        pod.validate_pod_template_kind,
        default=workloads.default_pod_template_kind,
        generation_fields=("template",),
        status=False,
        returns_deleted_object=True,
        warnings=warned.pod_template,
        disabled=(("template", *_SCHEDULING_GROUP),),
    ),
    ("", "ReplicationController"): strategy(
        apps.validate_replication_controller,
        default=workloads.default_replication_controller,
        name_rule=names.whole_subdomain,
        warnings=warned.workload,
        dependents="Orphan",
        validate_status=status.replication_controller,
        disabled=(("spec", "template", *_SCHEDULING_GROUP),),
    ),
    ("", "Service"): strategy(
        service.validate_service,
        default=core.default_service,
        prepare_for_create=services.prepare_service_create,
        prepare_for_update=services.prepare_service_update,
        validate_update=service.validate_service_update,
        name_rule=names.dns1123_label,
        generation_fields=PLAIN,
        create_on_update=True,
        returns_deleted_object=True,
        warnings=service_warnings,
        validate_status=status.service,
    ),
    ("", "Endpoints"): strategy(
        endpoints.validate_endpoints,
        default=core.default_endpoints,
        generation_fields=PLAIN,
        status=False,
        create_on_update=True,
    ),
    ("", "ConfigMap"): strategy(
        configuration.validate_config_map,
        default=core.default_config_map,
        validate_update=configuration.validate_config_map_update,
        generation_fields=PLAIN,
        status=False,
    ),
    ("", "Secret"): strategy(
        configuration.validate_secret,
        warnings=warned.secret,
        default=core.default_secret,
        validate_update=configuration.validate_secret_update,
        generation_fields=PLAIN,
        status=False,
    ),
    ("", "Namespace"): strategy(
        configuration.validate_namespace,
        default=core.default_namespace,
        prepare_for_create=prepare.create_namespace,
        prepare_for_update=prepare.update_namespace,
        name_rule=names.dns1123_label,
        generation_fields=PLAIN,
        returns_deleted_object=True,
        validate_status=status.namespace,
    ),
    ("", "Node"): strategy(
        nodes.validate_node,
        warnings=warned.node,
        default=core.default_node,
        prepare_for_create=prepare.create_node,
        prepare_for_update=prepare.keep_node_status,
        validate_update=nodes.validate_node_update,
        validate_status=nodes.validate_node_update,
        generation_fields=PLAIN,
        status=False,
    ),
    ("", "PersistentVolume"): strategy(
        storage.validate_persistent_volume,
        default=core.default_persistent_volume,
        prepare_for_create=prepare.create_persistent_volume,
        validate_update=storage.validate_persistent_volume_update,
        generation_fields=PLAIN,
        returns_deleted_object=True,
        warnings=warned.persistent_volume,
        validate_status=status.nothing,
    ),
    ("", "PersistentVolumeClaim"): strategy(
        storage.validate_claim,
        default=core.default_persistent_volume_claim,
        prepare_for_create=prepare.create_claim,
        prepare_for_update=prepare.update_claim,
        validate_update=storage.validate_claim_update,
        generation_fields=PLAIN,
        returns_deleted_object=True,
        validate_status=status.claim,
    ),
    ("", "ServiceAccount"): strategy(
        prepare_for_create=prepare.clean_service_account,
        prepare_for_update=prepare.clean_service_account,
        generation_fields=PLAIN,
        status=False,
        returns_deleted_object=True,
    ),
    ("", "LimitRange"): strategy(
        quotas.validate_limit_range,
        prepare_for_create=prepare.name_limit_range,
        default=core.default_limit_range,
        generation_fields=PLAIN,
        status=False,
        create_on_update=True,
    ),
    ("", "ResourceQuota"): strategy(
        quotas.validate_resource_quota,
        default=core.default_resource_quota,
        validate_update=quotas.validate_resource_quota_update,
        generation_fields=PLAIN,
        returns_deleted_object=True,
    ),
    ("", "Event"): generic(
        configuration.validate_event,
        name_rule=names.any_name,
        dependents=None,
        generation_fields=PLAIN,
        status=False,
        create_on_update=True,
    ),
    ("events.k8s.io", "Event"): strategy(
        configuration.validate_new_event,
        validate_create=configuration.validate_created_event,
        validate_update=configuration.validate_new_event_update,
        dependents=None,
        generation_fields=PLAIN,
        status=False,
        create_on_update=True,
    ),
    # apps
    ("apps", "Deployment"): strategy(
        apps.validate_deployment,
        default=workloads.default_deployment,
        prepare_for_update=prepare.update_deployment,
        kept_by_status=("labels",),
        validate_update=apps.validate_deployment_update,
        warnings=warned.workload,
        validate_status=status.deployment,
        disabled=(("spec", "template", *_SCHEDULING_GROUP),),
    ),
    ("apps", "ReplicaSet"): strategy(
        apps.validate_replica_set,
        default=workloads.default_replica_set,
        validate_update=apps.validate_replica_set_update,
        warnings=warned.workload,
        validate_status=status.replica_set,
        disabled=(("spec", "template", *_SCHEDULING_GROUP),),
    ),
    ("apps", "StatefulSet"): strategy(
        apps.validate_stateful_set,
        validate_new=apps.validate_new_stateful_set,
        default=workloads.default_stateful_set,
        validate_update=apps.validate_stateful_set_update,
        name_rule=names.dns1123_label,
        warnings=warned.stateful_set,
        validate_status=status.stateful_set,
        disabled=(
            ("spec", "template", *_SCHEDULING_GROUP),
            ("spec", "updateStrategy", "rollingUpdate", "maxUnavailable"),
        ),
    ),
    ("apps", "DaemonSet"): strategy(
        apps.validate_daemon_set,
        default=workloads.default_daemon_set,
        prepare_for_create=prepare.create_daemon_set,
        prepare_for_update=prepare.update_daemon_set,
        validate_changed=apps.validate_changed_daemon_set,
        warnings=warned.daemon_set,
        validate_status=status.daemon_set,
        disabled=(("spec", "template", *_SCHEDULING_GROUP),),
    ),
    ("apps", "ControllerRevision"): strategy(
        apps.validate_controller_revision,
        validate_create=apps.validate_new_controller_revision,
        validate_update=apps.validate_controller_revision_update,
        generation_fields=PLAIN,
        status=False,
    ),
    # batch
    ("batch", "Job"): strategy(
        batch.validate_job,
        default=workloads.default_job,
        prepare_for_create=prepare.create_job,
        validate_update=batch.validate_job_update,
        warnings=warned.workload,
        dependents="Orphan",
        orphan_warning=_ORPHANED_PODS,
        validate_status=jobstatus.validate_job_status,
        disabled=(("spec", "template", *_SCHEDULING_GROUP),),
    ),
    ("batch", "CronJob"): strategy(
        batch.validate_cron_job,
        validate_create=batch.validate_new_cron_job,
        default=workloads.default_cron_job,
        warnings=warned.cron_job,
        validate_status=status.nothing,
        disabled=(("spec", "jobTemplate", "spec", "template", *_SCHEDULING_GROUP),),
    ),
}
