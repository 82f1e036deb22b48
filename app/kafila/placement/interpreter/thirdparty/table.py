"""The third-party kinds that are known, as Karmada 1.18 knows them: ``group/version/Kind``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .argo_workflow import WORKFLOW
from .calls import ThirdParty
from .flink_deployment import FLINK_DEPLOYMENT
from .flux.helm_release import HELM_RELEASE
from .flux.kustomization import KUSTOMIZATION
from .flux.sources import BUCKET, GIT_REPOSITORY, HELM_CHART, HELM_REPOSITORY, OCI_REPOSITORY
from .kruise.advanced_cron_job import ADVANCED_CRON_JOB
from .kruise.broadcast_job import BROADCAST_JOB
from .kruise.clone_set import CLONE_SET
from .kruise.daemon_set import DAEMON_SET
from .kruise.sidecar_set import SIDECAR_SET
from .kruise.stateful_set import STATEFUL_SET
from .kruise.united_deployment import UNITED_DEPLOYMENT
from .kubeflow.mpi_job import MPI_JOB
from .kubeflow.notebook import NOTEBOOK
from .kubeflow.pytorch_job import PYTORCH_JOB
from .kubeflow.tf_job import TF_JOB
from .kyverno import POLICY
from .ray.ray_cluster import RAY_CLUSTER
from .ray.ray_job import RAY_JOB
from .ray.ray_service import RAY_SERVICE
from .spark_application import SPARK_APPLICATION
from .volcano_job import JOB

THIRD_PARTY: Final[Mapping[str, ThirdParty]] = {
    "apps.kruise.io/v1alpha1/AdvancedCronJob": ADVANCED_CRON_JOB,
    "apps.kruise.io/v1alpha1/BroadcastJob": BROADCAST_JOB,
    "apps.kruise.io/v1alpha1/CloneSet": CLONE_SET,
    "apps.kruise.io/v1alpha1/DaemonSet": DAEMON_SET,
    "apps.kruise.io/v1alpha1/SidecarSet": SIDECAR_SET,
    "apps.kruise.io/v1alpha1/UnitedDeployment": UNITED_DEPLOYMENT,
    "apps.kruise.io/v1beta1/StatefulSet": STATEFUL_SET,
    "argoproj.io/v1alpha1/Workflow": WORKFLOW,
    "batch.volcano.sh/v1alpha1/Job": JOB,
    "flink.apache.org/v1beta1/FlinkDeployment": FLINK_DEPLOYMENT,
    "helm.toolkit.fluxcd.io/v2beta1/HelmRelease": HELM_RELEASE,
    "kubeflow.org/v1/Notebook": NOTEBOOK,
    "kubeflow.org/v1/PyTorchJob": PYTORCH_JOB,
    "kubeflow.org/v1/TFJob": TF_JOB,
    "kubeflow.org/v2beta1/MPIJob": MPI_JOB,
    "kustomize.toolkit.fluxcd.io/v1/Kustomization": KUSTOMIZATION,
    "kyverno.io/v1/ClusterPolicy": POLICY,
    "kyverno.io/v1/Policy": POLICY,
    "ray.io/v1/RayCluster": RAY_CLUSTER,
    "ray.io/v1/RayJob": RAY_JOB,
    "ray.io/v1/RayService": RAY_SERVICE,
    "source.toolkit.fluxcd.io/v1/GitRepository": GIT_REPOSITORY,
    "source.toolkit.fluxcd.io/v1beta2/Bucket": BUCKET,
    "source.toolkit.fluxcd.io/v1beta2/HelmChart": HELM_CHART,
    "source.toolkit.fluxcd.io/v1beta2/HelmRepository": HELM_REPOSITORY,
    "source.toolkit.fluxcd.io/v1beta2/OCIRepository": OCI_REPOSITORY,
    "sparkoperator.k8s.io/v1beta2/SparkApplication": SPARK_APPLICATION,
}
