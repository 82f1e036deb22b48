"""Kubernetes' own admission plugins (k8s.io/kubernetes/plugin/pkg/admission), a module each or for a few small ones."""
