"""What `kafila init` puts into a cluster: deploy/chart as Helm renders it, with placeholders for what init is told.

The chart is the only source. Run by `make chart`; a test compares (tests/clusters/test_chart.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from kafila.installation import placeholders

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "chart"
WRITTEN = ROOT / "app" / "kafila" / "installation" / "manifests.json"
HELM = "helm-4.2.4"


def render(
    helm: Path, *values: str, file: Path | None = None, release: str = "kafila", namespace: str = "karmada-system"
) -> list[Any]:
    """The objects of the chart with these ``--set`` values, and those of a file."""
    command = [helm, "template", release, CHART, "--namespace", namespace, "--kube-version=1.31.0"]
    if file is not None:
        command += ["--values", file]
    done = subprocess.run([*command, *(f"--set={value}" for value in values)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def manifests(helm: Path) -> str:
    values = (
        "database.cloudNativePG.enabled=true",
        "api.service.type=NodePort",
        f"api.service.nodePort={placeholders.NODE_PORT}",
        f"api.advertise={placeholders.ADVERTISE}",
        f"image.repository={placeholders.REPOSITORY}",
        f"image.tag={placeholders.TAG}",
    )
    return json.dumps(render(helm, *values, namespace=placeholders.NAMESPACE), indent=1) + "\n"


def main() -> None:
    built = subprocess.run([ROOT / "tests/clusters/build.sh"], stdout=subprocess.PIPE, check=True, text=True)
    WRITTEN.write_text(manifests(Path(built.stdout.splitlines()[-1]) / "bin" / HELM))


if __name__ == "__main__":
    sys.exit(main())
