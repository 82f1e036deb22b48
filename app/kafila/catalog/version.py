"""The Kubernetes whose API is served. The first line below is the only home of its version; ``make generate`` derives the rest."""

KUBERNETES_VERSION = "v1.36.3"

LIBRARIES_VERSION = "v0" + KUBERNETES_VERSION.removeprefix("v1")  # of k8s.io/api, apimachinery, client-go …
MINOR_VERSION = KUBERNETES_VERSION.removeprefix("v").rpartition(".")[0]  # 1.36
