"""What (Cluster)OverridePolicies change in the manifest of one cluster."""
