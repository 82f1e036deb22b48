"""Controllers of Cluster objects: execution namespaces, taints, namespaces in members, unified authentication."""
