"""KubeRay: ray.io."""
