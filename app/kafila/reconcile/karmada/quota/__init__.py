"""FederatedResourceQuota: in members, in its status, and reserved by bindings."""
