"""kafila: the control plane of many Kubernetes clusters over PostgreSQL. ARCHITECTURE.md says where everything lives."""

__version__ = "0.1.0"
