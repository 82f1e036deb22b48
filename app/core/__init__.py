"""Layer 0: plain vocabulary of the Kubernetes API (names, versions, errors, selectors, quantities). No I/O, no state."""
