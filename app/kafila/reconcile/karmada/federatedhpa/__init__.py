"""The FederatedHPA controller: replicas over all clusters follow metrics."""
