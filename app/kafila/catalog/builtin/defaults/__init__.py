"""What Kubernetes fills in: one function per kind, changing the decoded object in place, idempotent."""
