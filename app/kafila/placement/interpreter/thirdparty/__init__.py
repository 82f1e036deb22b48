"""Interpreters of third-party kinds: Argo, Flink, Flux, Kubeflow, Kyverno, OpenKruise, Ray, Spark, Volcano.

`table` has a row for each kind; a kind is a `calls.ThirdParty` in a module of its own, which reads objects by `values`: nobody has
checked their types.
"""
