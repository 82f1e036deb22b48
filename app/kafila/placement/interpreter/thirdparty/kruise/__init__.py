"""OpenKruise: apps.kruise.io."""
