"""The controllers of kube-controller-manager that a control plane without nodes needs."""
