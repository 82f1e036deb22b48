"""How many replicas a workload over several clusters should have: pure decisions of FederatedHPA and CronFederatedHPA."""
