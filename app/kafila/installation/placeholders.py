"""What stands in manifests.json for what the user says."""

from typing import Final

NAMESPACE: Final = "placeholder-namespace"
ADVERTISE: Final = "placeholder.invalid:1"
REPOSITORY: Final = "placeholder.invalid/image"
TAG: Final = "placeholder"
IMAGE: Final = f"{REPOSITORY}:{TAG}"
NODE_PORT: Final = 32443
