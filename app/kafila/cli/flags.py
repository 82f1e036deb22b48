"""Flags that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from . import UsageError

Kubeconfig = Annotated[str, Parameter(help="Path of the control plane's kubeconfig (default: kubectl's).")]
KarmadaContext = Annotated[
    str, Parameter(help="Context of the control plane in its kubeconfig (default: the current).")
]
ClusterNamespace = Annotated[
    str, Parameter(help="Namespace in the control plane where member cluster secrets are stored.")
]
ClusterProvider = Annotated[str, Parameter(help="Provider of the cluster, for spreading across providers.")]
ClusterRegion = Annotated[str, Parameter(help="Region of the cluster, for spreading across regions.")]
ClusterZones = Annotated[
    list[str] | None, Parameter(name=["--cluster-zones", "--cluster-zone"], help="Zones, separated by commas.")
]
ProxyServerAddress = Annotated[str, Parameter(help="Proxy by which the control plane reaches the cluster.")]
Force = Annotated[
    bool, Parameter(help="Drop the cluster even when what was placed there cannot be taken back; says what stays.")
]
Wait = Annotated[str, Parameter(help="How long to wait for the cluster to go, as 60s or 2m.")]
DryRun = Annotated[bool, Parameter(help="Check everything and change nothing.")]
DatabaseURL = Annotated[str, Parameter(help="The database (default: KAFILA_DATABASE_URL).")]
DataDir = Annotated[
    Path | None, Parameter(help="The folder of an embedded database (default: KAFILA_DATA_DIR, or .data).")
]
Output = Annotated[str, Parameter(name=["--output", "-o"], help="json, for programs.")]


def check_output(output: str, *formats: str) -> None:
    """Raises UsageError, in kubectl's words."""
    if output and output not in formats:
        allowed = ", ".join(formats)
        raise UsageError(f'unable to match a printer suitable for the output format "{output}", allowed: {allowed}')
