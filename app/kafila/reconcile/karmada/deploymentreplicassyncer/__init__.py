"""The deployment replicas syncer: a template has the replicas that its members together have come to."""
