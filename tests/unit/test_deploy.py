"""deploy/ beside the chart: the image, compose and the unit of systemd run with few rights, and no secret stands in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
UNIT = ROOT / "deploy" / "kafila.service"


def test_the_image_has_what_the_runtime_lock_names_and_is_nobodys_root() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert len(stages) == 3, "what builds, and what runs"
    build, image = stages[1:]
    assert "install --no-cache-dir --require-hashes -r requirements.lock" in build
    assert "requirements" not in image
    assert "pip" not in image
    assert re.findall(r"^USER (.*)$", image, re.M) == ["65532:65532"]
    assert "HEALTHCHECK" in image


def test_compose_has_no_secret() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    variables = {name: value for service in services.values() for name, value in service["environment"].items()}
    secret = [value for name, value in variables.items() if re.search("PASSWORD|URL|TOKEN|KEY", name)]
    assert len(secret) == 2
    assert all("${POSTGRES_PASSWORD" in value for value in secret)
    assert services["kafila"]["read_only"] is True
    assert services["kafila"]["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in services["kafila"]["ports"])


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    unit = tmp_path / "kafila.service"
    unit.write_text(UNIT.read_text().replace("/opt/kafila/bin/kafila", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_gives_up_all_rights() -> None:
    lines = set(UNIT.read_text().splitlines())
    assert {"DynamicUser=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= lines
