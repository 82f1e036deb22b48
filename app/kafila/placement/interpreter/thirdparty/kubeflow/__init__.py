"""Kubeflow: kubeflow.org."""
