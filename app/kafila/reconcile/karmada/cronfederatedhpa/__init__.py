"""The CronFederatedHPA controller: replicas, or the bounds of an autoscaler, by the clock."""
