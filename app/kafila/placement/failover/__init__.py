"""Why a binding leaves a cluster: taints that it does not tolerate, and eviction step by step."""
