"""The HPA scale target marker: workloads that autoscalers in members scale keep the replicas that they have there."""
