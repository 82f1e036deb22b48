"""Bindings leave clusters: the taint manager and the graceful eviction controllers."""
