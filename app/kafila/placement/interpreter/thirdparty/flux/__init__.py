"""Flux: source.toolkit.fluxcd.io, kustomize.toolkit.fluxcd.io and helm.toolkit.fluxcd.io."""
